//! What few tables have, behind one pointer: what eviction leaves behind, and what is counted for quotas.

use super::Table;
use super::evict::Trail;
use super::meter::Meter;

/// What few tables have.
#[derive(Default)]
pub(super) struct Side {
    /// What eviction leaves behind, once there was any.
    pub(super) trail: Option<Trail>,
    /// What is counted for quotas, where there are any.
    pub(super) meter: Option<Box<Meter>>,
}

impl Table {
    pub(super) fn trail_mut(&mut self) -> Option<&mut Trail> {
        self.side.as_mut()?.trail.as_mut()
    }

    /// What eviction leaves behind, from now on.
    pub(super) fn leave_trail(&mut self) -> &mut Trail {
        self.side.get_or_insert_default().trail.get_or_insert_default()
    }

    pub(super) fn meter(&self) -> Option<&Meter> {
        self.side.as_ref()?.meter.as_deref()
    }

    pub(super) fn meter_mut(&mut self) -> Option<&mut Meter> {
        self.side.as_mut()?.meter.as_deref_mut()
    }

    /// To count with while records are borrowed; it is to be [put back](Self::put_meter).
    pub(super) fn take_meter(&mut self) -> Option<Box<Meter>> {
        self.side.as_mut()?.meter.take()
    }

    pub(super) fn put_meter(&mut self, meter: Option<Box<Meter>>) {
        if meter.is_some() {
            self.side.get_or_insert_default().meter = meter;
        }
    }
}
