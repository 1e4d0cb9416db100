//! A client's socket: TCP, encrypted or not, or Unix.

use crate::session::Client;
use crate::tls::{Acceptor, Encrypted, Pool, Step, Transport};
use mio::event::{Event, Source};
use mio::net::{TcpStream, UnixStream};
use mio::{Interest, Registry, Token};
use std::io::{self, IoSlice, Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::sync::Arc;
use std::task::Poll;

/// An accepted socket on its way to the thread that will serve it.
#[derive(Debug)]
pub enum Accepted {
    /// TCP.
    Tcp(std::net::TcpStream),
    /// TCP, encrypted.
    Tls(std::net::TcpStream, Acceptor),
    /// Unix.
    Unix(std::os::unix::net::UnixStream),
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Encrypted),
    /// A thread for handshakes has it.
    Away(Arc<Step>),
}

impl Socket {
    fn source(&mut self) -> Option<&mut dyn Source> {
        match self {
            Socket::Tcp(stream) => Some(stream),
            Socket::Unix(stream) => Some(stream),
            Socket::Tls(both) => Some(&mut both.0),
            Socket::Away(_) => None,
        }
    }
}

/// What came of a handshake, unless more has to come first.
fn come_to_an_end(result: io::Result<()>) -> Option<io::Result<()>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
        result => Some(result),
    }
}

/// A socket served by this thread. It remembers what it may do: the kernel reports edges only.
#[derive(Debug)]
pub struct Stream {
    socket: Socket,
    is_readable: bool,
    /// The peer sends no more, or the connection broke: reading to the end tells which, and no further edge comes.
    is_ending: bool,
    is_writable: bool,
}

impl Stream {
    /// Takes an accepted socket.
    ///
    /// # Errors
    /// It cannot be made not to block.
    pub fn adopt(accepted: Accepted) -> io::Result<Self> {
        let socket = match accepted {
            Accepted::Tcp(stream) => {
                stream.set_nonblocking(true)?;
                Socket::Tcp(TcpStream::from_std(stream))
            }
            Accepted::Tls(stream, acceptor) => {
                stream.set_nonblocking(true)?;
                Socket::Tls(Box::new((TcpStream::from_std(stream), Transport::new(acceptor)?)))
            }
            Accepted::Unix(stream) => {
                stream.set_nonblocking(true)?;
                Socket::Unix(UnixStream::from_std(stream))
            }
        };
        // What it may do already, watching it will tell.
        Ok(Stream { socket, is_readable: false, is_ending: false, is_writable: true })
    }

    /// The descriptor's number.
    pub fn fd(&self) -> i32 {
        match &self.socket {
            Socket::Tcp(stream) => stream.as_raw_fd(),
            Socket::Unix(stream) => stream.as_raw_fd(),
            Socket::Tls(both) => both.0.as_raw_fd(),
            Socket::Away(step) => step.fd(),
        }
    }

    /// Has `registry` report under `token` what becomes possible.
    ///
    /// # Errors
    /// The kernel has no room for it.
    pub fn watch(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let Some(source) = self.socket.source() else { return Err(io::ErrorKind::NotConnected.into()) };
        registry.register(source, token, Interest::READABLE | Interest::WRITABLE)
    }

    /// Ends [`Stream::watch`].
    pub fn unwatch(&mut self, registry: &Registry) {
        // Closing it, which comes next, or as soon as it is back, does the same.
        if let Some(source) = self.socket.source() {
            let _ = registry.deregister(source);
        }
    }

    /// Remembers what was reported.
    #[inline]
    pub fn note(&mut self, event: &Event) {
        self.is_ending |= event.is_read_closed() || event.is_error();
        self.is_readable |= event.is_readable() || self.is_ending;
        self.is_writable |= event.is_writable() || event.is_write_closed() || event.is_error();
    }

    /// Reads what there is into `buf`; 0 at the end of the stream. `Pending` until an event says otherwise.
    #[inline]
    pub fn read(&mut self, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        while self.is_readable {
            let result = match &mut self.socket {
                Socket::Tcp(stream) => stream.read(buf),
                Socket::Unix(stream) => stream.read(buf),
                Socket::Tls(_) => return self.read_decrypted(buf),
                Socket::Away(_) => return Poll::Pending,
            };
            match result {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.is_readable = false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(n) => {
                    // A partly filled buffer drained the socket: more, or its end, will be an edge of its own unless
                    // it was reported already. That saves the system call that would only say so.
                    self.is_readable = n == buf.len() || self.is_ending;
                    return Poll::Ready(Ok(n));
                }
                error => return Poll::Ready(error),
            }
        }
        Poll::Pending
    }

    /// Writes some of `bytes`. `Pending` until an event says otherwise.
    #[inline]
    pub fn write(&mut self, bytes: &[u8]) -> Poll<io::Result<usize>> {
        while self.is_writable {
            let result = match &mut self.socket {
                Socket::Tcp(stream) => stream.write(bytes),
                Socket::Unix(stream) => stream.write(bytes),
                Socket::Tls(both) => both.1.write(&mut both.0, bytes),
                Socket::Away(_) => return Poll::Pending,
            };
            match result {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.is_writable = false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return Poll::Ready(result),
            }
        }
        Poll::Pending
    }

    /// The same for bytes that lie in several places.
    pub fn write_vectored(&mut self, bytes: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        while self.is_writable {
            let result = match &mut self.socket {
                Socket::Tcp(stream) => stream.write_vectored(bytes),
                Socket::Unix(stream) => stream.write_vectored(bytes),
                Socket::Tls(both) => {
                    let first = bytes.iter().find(|slice| !slice.is_empty());
                    both.1.write(&mut both.0, first.map_or(&[][..], |slice| &**slice))
                }
                Socket::Away(_) => return Poll::Pending,
            };
            match result {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.is_writable = false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return Poll::Ready(result),
            }
        }
        Poll::Pending
    }

    /// True for a connection that is encrypted: what is read and written by its descriptor's number is not what it says.
    #[inline]
    pub fn is_encrypted(&self) -> bool {
        matches!(self.socket, Socket::Tls(_) | Socket::Away(_))
    }

    fn read_decrypted(&mut self, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let Socket::Tls(both) = &mut self.socket else { return Poll::Pending };
        let (socket, transport) = &mut **both;
        match transport.read(socket, buf) {
            Ok((n, is_drained)) => {
                self.is_readable = !is_drained || self.is_ending;
                Poll::Ready(Ok(n))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.is_readable = false;
                Poll::Pending
            }
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    /// Gets on with the handshake of an encrypted connection, by a thread of `pool` if there is one. `Pending` until an event
    /// says otherwise, or that thread, which wakes `client`.
    pub fn agree(&mut self, pool: Option<&Pool>, client: &Arc<Client>) -> Poll<io::Result<()>> {
        if let Socket::Away(step) = &self.socket {
            let Some((both, result)) = step.take() else { return Poll::Pending };
            self.socket = Socket::Tls(both);
            if let Some(result) = come_to_an_end(result) {
                // There may be a request behind the handshake.
                self.is_readable = true;
                return Poll::Ready(result);
            }
        }
        let Socket::Tls(both) = &mut self.socket else { return Poll::Ready(Ok(())) };
        if !self.is_readable {
            return Poll::Pending;
        }
        // What comes from now on is an event of its own. Reading to its end tells what came of a connection that broke.
        self.is_readable = self.is_ending;
        let Some(pool) = pool else {
            let Some(result) = come_to_an_end(both.1.agree(&mut both.0)) else { return Poll::Pending };
            self.is_readable = true;
            return Poll::Ready(result);
        };
        let step = Arc::new(Step::of(&both.0));
        if let Socket::Tls(both) = std::mem::replace(&mut self.socket, Socket::Away(Arc::clone(&step))) {
            pool.agree(both, step, client);
        }
        Poll::Pending
    }

    /// [`Stream::agree`] may get on.
    #[inline]
    pub fn may_agree(&self) -> bool {
        self.is_readable || matches!(self.socket, Socket::Away(_))
    }

    /// The parties of an encrypted connection have not agreed yet.
    pub fn is_handshaking(&self) -> bool {
        match &self.socket {
            Socket::Tls(both) => both.1.is_handshaking(),
            Socket::Away(_) => true,
            Socket::Tcp(_) | Socket::Unix(_) => false,
        }
    }

    /// What was written waits, encrypted, for the socket to take it.
    #[inline]
    pub fn has_unsent(&self) -> bool {
        matches!(&self.socket, Socket::Tls(both) if both.1.has_unsent())
    }

    /// The peer has to connect again before much more is sent: see [`Transport::is_worn`].
    #[inline]
    pub fn is_worn(&self) -> bool {
        matches!(&self.socket, Socket::Tls(both) if both.1.is_worn())
    }

    /// What its encryption occupies, in bytes; 0 without.
    #[inline]
    pub fn encryption_memory(&self) -> usize {
        match &self.socket {
            Socket::Tls(both) => size_of::<TcpStream>() + both.1.memory(),
            Socket::Away(_) => size_of::<TcpStream>() + Transport::memory_min(),
            Socket::Tcp(_) | Socket::Unix(_) => 0,
        }
    }

    /// There may be something to read.
    #[inline]
    pub fn is_readable(&self) -> bool {
        self.is_readable
    }

    /// Sends that. `Pending` until an event says otherwise.
    pub fn push(&mut self) -> Poll<io::Result<()>> {
        let Socket::Tls(both) = &mut self.socket else { return Poll::Ready(Ok(())) };
        if !self.is_writable {
            return Poll::Pending;
        }
        match both.1.push(&mut both.0) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.is_writable = false;
                Poll::Pending
            }
            result => Poll::Ready(result),
        }
    }

    /// After the handshake: the names in the client's certificate that may be those of its ACL user.
    pub fn names(&self) -> Vec<Vec<u8>> {
        match &self.socket {
            Socket::Tls(both) => both.1.names(),
            _ => Vec::new(),
        }
    }

    /// Says goodbye to a peer that has been served.
    pub fn close(&mut self) {
        if let Socket::Tls(both) = &mut self.socket {
            both.1.close(&mut both.0);
        }
    }
}
