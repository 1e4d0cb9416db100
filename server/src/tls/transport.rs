//! The two directions of one encrypted connection, over a socket that does not block.

use super::Acceptor;
use super::identity::{self, Field};
use rustls::{Error, InvalidMessage, ProtocolVersion, ServerConnection};
use std::cell::RefCell;
use std::io::{self, Read, Write};

/// Encrypted output that waits for the socket, at most, in bytes: what is beyond it waits unencrypted.
const UNSENT_MAX: usize = 64 * 1024;
/// Ciphertext read at once.
const READ_SIZE: usize = 64 * 1024;
/// Plain text of one record, at most, in bytes.
const RECORD_PLAIN_MAX: usize = 16 * 1024;
/// Records under one key of TLS 1.2, with some left for what waits: rustls sends none after 2^24 (RFC 8446, 5.5, for AES-GCM).
const RECORDS_MAX: u64 = (1 << 24) - (1 << 16);
/// Ciphertext that is decrypted at once.
const STEP_MAX: usize = 4 * 1024;
/// What a connection keeps besides text, in bytes: keys, names, the peer's certificate if it is a small one, room for a step.
/// Measured, as the difference to a connection that is not encrypted: see `what_encryption_occupies` in `tests/wire/tls.rs`.
const STATE_SIZE: usize = 4 * 1024 + STEP_MAX;
/// What a message of the handshake may take, in bytes: rustls refuses longer ones.
const CERTIFICATES_MAX: usize = 64 * 1024;
/// What a record may be longer than what is in it, and the record that is incomplete.
const RECORD_MAX: usize = 16 * 1024 + 2048;

/// One encrypted connection, without its socket.
#[derive(Debug)]
pub struct Transport {
    tls: ServerConnection,
    identity: Field,
    /// Ciphertext that was read and is not decrypted yet.
    rest: Vec<u8>,
    /// The peer sends no more.
    is_ended: bool,
    /// Ciphertext that was handed on and has not become plain text yet: the beginning of a record.
    begun: usize,
    /// Encrypted output that the socket did not take.
    unsent: usize,
    /// Records sent, or a few more.
    records: u64,
}

thread_local! {
    /// Where ciphertext is read to: idle connections own no buffers.
    static CHUNK: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// The plain text of another record fits.
fn has_room(buf: &[u8], filled: usize) -> bool {
    buf.len() - filled >= RECORD_MAX
}

impl Transport {
    /// Begins with a connection that has come.
    ///
    /// # Errors
    /// Settings that do not fit each other, which [`super::Tls::follow`] would have found.
    pub fn new(acceptor: Acceptor) -> io::Result<Self> {
        let mut tls = ServerConnection::new(acceptor.config).map_err(io::Error::other)?;
        tls.set_buffer_limit(Some(UNSENT_MAX));
        let identity = acceptor.identity;
        Ok(Transport { tls, identity, rest: Vec::new(), is_ended: false, begun: 0, unsent: 0, records: 0 })
    }

    /// What it occupies, in bytes, about: its state, and text that waits for either side.
    pub fn memory(&self) -> usize {
        Self::memory_min() + self.rest.capacity() + self.begun + self.unsent
    }

    /// What one occupies that waits for nothing, in bytes, about.
    pub const fn memory_min() -> usize {
        size_of::<Self>() + STATE_SIZE
    }

    /// Nothing but the handshake has happened so far.
    #[inline]
    pub fn is_handshaking(&self) -> bool {
        self.tls.is_handshaking()
    }

    /// Encrypted output waits for the socket.
    #[inline]
    pub fn has_unsent(&self) -> bool {
        self.tls.wants_write()
    }

    /// After the handshake: the names in the client's certificate that may be those of its ACL user.
    pub fn names(&self) -> Vec<Vec<u8>> {
        let first = self.tls.peer_certificates().and_then(<[_]>::first);
        first.map_or_else(Vec::new, |certificate| identity::names(certificate, self.identity))
    }

    /// Gets on with the handshake, to its end. What comes behind it is there to be read.
    ///
    /// # Errors
    /// `WouldBlock` when more has to come first; anything else ends the connection.
    pub fn agree(&mut self, socket: &mut (impl Read + Write)) -> io::Result<()> {
        while self.tls.is_handshaking() {
            CHUNK.with_borrow_mut(|chunk| {
                chunk.resize(READ_SIZE, 0);
                let read = match socket.read(&mut chunk[..RECORD_MAX]) {
                    Ok(read) => read,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
                    Err(error) => return Err(error),
                };
                let mut ciphertext = &chunk[..read];
                self.is_ended |= read == 0;
                while !ciphertext.is_empty() && self.tls.is_handshaking() {
                    self.take_in(socket, &mut ciphertext)?;
                }
                self.rest = ciphertext.to_vec();
                if self.is_ended { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
            })?;
        }
        self.begun = 0;
        Ok(())
    }

    /// Decrypts into `buf` what `socket` has, as far as it fits. Returns how much that is, and
    /// whether the socket was drained. 0 bytes of a socket that is not drained are its end.
    ///
    /// # Errors
    /// `WouldBlock` when more has to come first; anything else ends the connection.
    pub fn read(&mut self, socket: &mut (impl Read + Write), buf: &mut [u8]) -> io::Result<(usize, bool)> {
        let mut filled = self.take_plain(buf)?;
        let rest = std::mem::take(&mut self.rest);
        self.decrypt(socket, &rest, buf, &mut filled)?;
        while self.rest.is_empty() && (filled == 0 || has_room(buf, filled)) {
            if self.is_ended {
                return Ok((filled, false));
            }
            let (read, wanted) = CHUNK
                .with_borrow_mut(|chunk| {
                    chunk.resize(READ_SIZE, 0);
                    let wanted = (buf.len() - filled).clamp(RECORD_MAX, READ_SIZE);
                    match socket.read(&mut chunk[..wanted]) {
                        Ok(n) => {
                            self.decrypt(socket, &chunk[..n], buf, &mut filled)?;
                            Ok((n, wanted))
                        }
                        Err(error) => Err(error),
                    }
                })
                .or_else(|error| match error.kind() {
                    io::ErrorKind::Interrupted => Ok((READ_SIZE, READ_SIZE)),
                    io::ErrorKind::WouldBlock if filled > 0 => Ok((1, READ_SIZE)),
                    _ => Err(error),
                })?;
            // A peer that just goes is one that says no goodbye, as many do.
            self.is_ended |= read == 0;
            if filled > 0 && read < wanted {
                // What did not fit is there without the socket.
                let is_drained = !self.is_ended && self.rest.is_empty() && filled < buf.len();
                return Ok((filled, is_drained));
            }
        }
        Ok((filled, false))
    }

    /// Decrypts ciphertext into `buf`, as far as it fits; the rest is kept.
    fn decrypt(
        &mut self,
        socket: &mut impl Write,
        mut ciphertext: &[u8],
        buf: &mut [u8],
        filled: &mut usize,
    ) -> io::Result<()> {
        while !ciphertext.is_empty() {
            if *filled > 0 && !has_room(buf, *filled) {
                self.rest = ciphertext.to_vec();
                return Ok(());
            }
            self.take_in(socket, &mut ciphertext)?;
            *filled += self.take_plain(&mut buf[*filled..])?;
        }
        Ok(())
    }

    /// Takes some of what came in, and sends what that is answered with.
    fn take_in(&mut self, socket: &mut impl Write, ciphertext: &mut &[u8]) -> io::Result<()> {
        // Nothing is taken behind the peer's goodbye.
        let taken = self.tls.read_tls(ciphertext)?;
        let most = if self.tls.is_handshaking() { CERTIFICATES_MAX } else { RECORD_MAX };
        self.begun = (self.begun + taken).min(most);
        if taken == 0 {
            self.is_ended = true;
            *ciphertext = &[];
            return Ok(());
        }
        let result = self.tls.process_new_packets();
        // What was wrong is taken: whoever reads again comes to the end.
        self.is_ended |= result.is_err();
        // Whoever does not speak TLS would take an alert for a reply that it does not understand.
        let is_other = matches!(result, Err(Error::InvalidMessage(InvalidMessage::InvalidContentType)));
        if !(is_other && self.tls.is_handshaking()) {
            match self.push(socket) {
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                _ => {}
            }
        }
        result.map(|_| ()).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    /// Moves what is decrypted into `buf`, as far as it fits.
    fn take_plain(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buf.len() {
            match self.tls.reader().read(&mut buf[filled..]) {
                // The peer has said goodbye.
                Ok(0) => {
                    self.is_ended = true;
                    break;
                }
                Ok(n) => {
                    filled += n;
                    self.begun = 0;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    /// Encrypts some of `bytes` and sends what the socket takes. Returns how many were encrypted.
    ///
    /// # Errors
    /// `WouldBlock` when the socket has to take what is encrypted already; anything else ends the connection.
    pub fn write(&mut self, socket: &mut impl Write, bytes: &[u8]) -> io::Result<usize> {
        loop {
            let taken = self.tls.writer().write(bytes)?;
            if taken == 0 && !self.tls.wants_write() {
                // The handshake has to go on first.
                return Err(io::ErrorKind::WouldBlock.into());
            }
            self.records += 1 + (taken / RECORD_PLAIN_MAX) as u64;
            match self.push(socket) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && taken > 0 => return Ok(taken),
                Ok(()) if taken == 0 && !bytes.is_empty() => {}
                Ok(()) => return Ok(taken),
                Err(error) => return Err(error),
            }
        }
    }

    /// Sends what is encrypted.
    ///
    /// # Errors
    /// `WouldBlock` when the socket does not take everything; anything else ends the connection.
    pub fn push(&mut self, socket: &mut impl Write) -> io::Result<()> {
        while self.tls.wants_write() {
            match self.tls.write_tls(socket) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                    // Asked for what it has done already, it says how much there is. Who is refused is about to be closed.
                    self.unsent =
                        self.tls.process_new_packets().map_or(0, |state| state.tls_bytes_to_write());
                    return Err(error);
                }
                _ => {}
            }
        }
        self.unsent = 0;
        Ok(())
    }

    /// So many records were sent with one key that no more may be: AES-GCM of TLS 1.2 has no other. The peer has to come again.
    #[inline]
    pub fn is_worn(&self) -> bool {
        self.records >= RECORDS_MAX && self.tls.protocol_version() == Some(ProtocolVersion::TLSv1_2)
    }

    /// Says goodbye, as far as the socket takes it.
    pub fn close(&mut self, socket: &mut impl Write) {
        self.tls.send_close_notify();
        // Whoever does not take it is gone, or will find out.
        let _ = self.push(socket);
    }
}
