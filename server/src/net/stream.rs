//! A client's socket: TCP or Unix.

use mio::event::{Event, Source};
use mio::net::{TcpStream, UnixStream};
use mio::{Interest, Registry, Token};
use std::io::{self, IoSlice, Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::task::Poll;

/// An accepted socket on its way to the thread that will serve it.
#[derive(Debug)]
pub enum Accepted {
    /// TCP.
    Tcp(std::net::TcpStream),
    /// Unix.
    Unix(std::os::unix::net::UnixStream),
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Socket {
    fn source(&mut self) -> &mut dyn Source {
        match self {
            Socket::Tcp(stream) => stream,
            Socket::Unix(stream) => stream,
        }
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
        }
    }

    /// Has `registry` report under `token` what becomes possible.
    ///
    /// # Errors
    /// The kernel has no room for it.
    pub fn watch(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(self.socket.source(), token, Interest::READABLE | Interest::WRITABLE)
    }

    /// Ends [`Stream::watch`].
    pub fn unwatch(&mut self, registry: &Registry) {
        // Closing it, which comes next, does the same.
        let _ = registry.deregister(self.socket.source());
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
            };
            match result {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.is_writable = false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return Poll::Ready(result),
            }
        }
        Poll::Pending
    }
}
