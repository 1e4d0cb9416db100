//! The engine of one thread: its interpreter and the scripts compiled for it.

use super::cache::{Script, Sha, ShaHash};
use super::functions::Functions;
use super::run::Code;
use super::{api, libs, reach};
use crate::session::{Client, Session};
use crate::shared::Shared;
use hashbrown::HashMap;
use std::sync::Arc;
use tidegate_commands::model::{Error, Rng, RoutedKey, Span};
use tidegate_lua::{Compiled, State};

/// The interpreters of one thread: one for scripts, which is made when the first one is called, and one for functions.
#[derive(Debug, Default)]
pub struct Engine {
    loaded: Option<Loaded>,
    /// The functions.
    pub functions: Functions,
    /// Room that calls of commands share.
    pub(super) scratch: Scratch,
}

#[derive(Debug)]
struct Loaded {
    state: State,
    /// The epoch of the scripts it was made for.
    epoch: u64,
    scripts: HashMap<Sha, Known, ShaHash>,
    /// Bytes of their texts.
    texts: usize,
}

/// A script that this thread has compiled.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) script: Arc<Script>,
    pub(super) compiled: Compiled,
    /// It is known to touch declared keys only.
    pub(super) is_confined: bool,
}

/// Room that calls of commands share, and what scripts leave to the next one.
#[derive(Debug)]
pub(super) struct Scratch {
    pub(super) words: Vec<u8>,
    pub(super) spans: Vec<Span>,
    pub(super) keys: Vec<RoutedKey>,
    /// The key that was routed last.
    pub(super) last_key: LastKey,
    pub(super) reply: Vec<u8>,
    /// The state of `math.random`.
    pub(super) random: api::Random,
    /// What commands called by scripts take for their connection.
    pub(super) session: Session,
}

/// The key that was routed last, and where it is.
#[derive(Debug, Default)]
pub(super) struct LastKey {
    name: Vec<u8>,
    routed: Option<RoutedKey>,
}

impl LastKey {
    /// Longer names are not kept, in bytes.
    const LEN_MAX: usize = 512;

    /// Where the key of this name is; `route` tells unless it is the same as the last one.
    #[inline]
    pub(super) fn find(&mut self, name: &[u8], route: impl FnOnce() -> RoutedKey) -> RoutedKey {
        if let Some(routed) = self.routed
            && *name == self.name[..]
        {
            return routed;
        }
        let routed = route();
        self.name.clear();
        self.routed = (name.len() <= Self::LEN_MAX).then(|| {
            self.name.extend_from_slice(name);
            routed
        });
        routed
    }
}

impl Default for Scratch {
    fn default() -> Self {
        let client = Client::new(0, String::new(), String::new(), -1, 0, false, true);
        Scratch {
            words: Vec::new(),
            spans: Vec::new(),
            keys: Vec::new(),
            last_key: LastKey::default(),
            reply: Vec::new(),
            random: api::Random::new(0),
            session: Session::new(Arc::new(client), true),
        }
    }
}

/// What became of a script's reply, for the statistics.
#[derive(Debug, Default)]
pub struct Verdict {
    /// It is an error, or holds one.
    pub failed: bool,
    /// Texts of errors that nobody has counted yet.
    pub uncounted: Vec<Vec<u8>>,
}

impl Verdict {
    /// An error was written.
    pub(super) fn failed(&mut self, text: &[u8], is_counted: bool) {
        self.failed = true;
        if !is_counted {
            self.uncounted.push(text.to_vec());
        }
    }
}

impl Engine {
    /// The interpreter, of the present epoch.
    fn loaded(&mut self, shared: &Shared, rng: &mut Rng) -> &mut Loaded {
        let epoch = shared.scripts.epoch();
        let limit = shared.config.hot().script_memory_limit.get();
        // What stays in it are compiled scripts: when these leave too little for running, they are compiled anew as they
        // are called.
        let is_usable = |loaded: &Loaded| {
            loaded.epoch == epoch && loaded.state.used() < limit / 2 && loaded.texts < limit
        };
        if !self.loaded.as_ref().is_some_and(is_usable) {
            self.loaded = None;
            self.scratch.random = api::Random::new(rng.next() as u32);
        }
        self.loaded.get_or_insert_with(|| {
            let mut state = State::new(limit);
            state
                .with(|frame| {
                    libs::open(frame)?;
                    api::open(frame, api::Users::Scripts)
                })
                .expect("a fresh interpreter takes its libraries");
            Loaded { state, epoch, scripts: HashMap::default(), texts: 0 }
        })
    }

    /// A script with this SHA1 that this thread has compiled already.
    pub fn known(&self, shared: &Shared, sha: &Sha) -> Option<Arc<Script>> {
        let loaded = self.loaded.as_ref().filter(|loaded| loaded.epoch == shared.scripts.epoch())?;
        loaded.scripts.get(sha).map(|known| Arc::clone(&known.script))
    }

    /// Compiles a script for this thread, unless it is already.
    pub fn compile(&mut self, shared: &Shared, rng: &mut Rng, script: &Arc<Script>) -> Result<(), Error> {
        if self.known(shared, &script.sha).is_some() {
            return Ok(());
        }
        let loaded = self.loaded(shared, rng);
        let compiled = loaded.state.compile(script.source(), "@user_script").map_err(|text| {
            Error::text([b"ERR Error compiling script (new function): ", &text[..]].concat())
        })?;
        let is_confined = script.is_confined(|| {
            let prototype = loaded.state.prototype(&compiled);
            prototype.is_some_and(|prototype| reach::is_confined(shared.registry, &prototype))
        });
        loaded.texts += script.size();
        loaded.scripts.insert(script.sha, Known { script: Arc::clone(script), compiled, is_confined });
        Ok(())
    }

    /// True when it is known to touch declared keys only.
    pub(super) fn is_confined(&self, code: Code<'_>) -> bool {
        let Code::Script(script) = code else { return false };
        let known = self.loaded.as_ref().and_then(|loaded| loaded.scripts.get(&script.sha));
        known.is_some_and(|known| known.is_confined)
    }

    /// Lets go of what nobody can call any more.
    pub fn tidy(&mut self, shared: &Shared) {
        if self.loaded.as_ref().is_some_and(|loaded| loaded.epoch != shared.scripts.epoch()) {
            self.loaded = None;
        }
        self.functions.keep_up(shared);
    }

    /// The parts that a run needs: the interpreter, what was compiled, the scratch room.
    pub(super) fn parts(&mut self, code: Code<'_>) -> Option<(&mut State, &Compiled, &mut Scratch)> {
        let (state, compiled) = match code {
            Code::Script(script) => {
                let loaded = self.loaded.as_mut()?;
                (&mut loaded.state, &loaded.scripts.get(&script.sha)?.compiled)
            }
            Code::Function(callee) => self.functions.parts(callee)?,
        };
        Some((state, compiled, &mut self.scratch))
    }

    /// Bytes of the interpreters: of scripts, and of functions.
    pub fn bytes(&self) -> [usize; 2] {
        [self.loaded.as_ref().map_or(0, |loaded| loaded.state.used()), self.functions.bytes()]
    }
}
