//! Listening: accepts connections and hands them to the threads in turn.

use super::stream::Accepted;
use crate::config::Config;
use crate::shared::Shared;
use crate::tls::{Acceptor, Tls};
use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, OnceLock, PoisonError};
use tokio::sync::mpsc::UnboundedSender;

/// What is sent to the thread that will serve a connection.
#[derive(Debug)]
pub struct Arrival {
    /// The socket.
    pub socket: Accepted,
    /// The peer as `CLIENT LIST` shows it.
    pub addr: String,
    /// Our end.
    pub laddr: String,
    /// The peer is on this machine.
    pub is_local: bool,
    /// It came over the Unix socket.
    pub is_unix: bool,
}

impl Arrival {
    fn of_tcp(stream: std::net::TcpStream, peer: SocketAddr, acceptor: Option<Acceptor>) -> Self {
        let laddr = stream.local_addr().map_or_else(|_| String::new(), |addr| addr.to_string());
        Arrival {
            socket: match acceptor {
                Some(acceptor) => Accepted::Tls(stream, acceptor),
                None => Accepted::Tcp(stream),
            },
            addr: peer.to_string(),
            laddr,
            is_local: peer.ip().to_canonical().is_loopback(),
            is_unix: false,
        }
    }
}

/// A bound socket.
#[derive(Debug)]
pub enum Listener {
    /// TCP.
    Tcp(std::net::TcpListener, Security),
    /// Unix.
    Unix(std::os::unix::net::UnixListener),
}

/// What is spoken on a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Security {
    /// The protocol itself.
    #[default]
    Plain,
    /// The protocol within TLS.
    Tls,
}

impl Security {
    /// The port that is configured for it; 0 for none.
    fn port(self, config: &Config) -> u16 {
        match self {
            Security::Plain => config.port(),
            Security::Tls => config.tls_port(),
        }
    }
}

/// The TCP sockets that are listened on for one kind of connections, for changing them while the server runs.
#[derive(Debug, Default)]
pub struct Listening {
    security: Security,
    bound: Mutex<Bound>,
    /// Where new sockets are served.
    handoff: OnceLock<UnboundedSender<Listener>>,
    /// Where connections are served.
    threads: OnceLock<Vec<UnboundedSender<Arrival>>>,
}

#[derive(Debug, Default)]
struct Bound {
    addresses: Vec<String>,
    port: u16,
    /// Copies of the descriptors that are accepted on.
    sockets: Vec<std::net::TcpListener>,
}

impl Bound {
    /// Ends listening. Shutting the sockets down frees their addresses at once, whoever still waits on them.
    fn close(&mut self) {
        for socket in self.sockets.drain(..) {
            // A socket that is closed already listens no more, which is what is wanted.
            let _ = socket2::SockRef::from(&socket).shutdown(std::net::Shutdown::Both);
        }
    }
}

impl Listening {
    /// Nothing is listened on yet.
    pub fn new(security: Security) -> Self {
        Listening { security, ..Listening::default() }
    }

    /// Binds what is configured for the first time; `handoff` takes sockets that are bound later.
    pub fn start(&self, config: &Config, handoff: UnboundedSender<Listener>) -> io::Result<Vec<Listener>> {
        let _ = self.handoff.set(handoff);
        let mut bound = self.bound.lock().unwrap_or_else(PoisonError::into_inner);
        self.bind(&mut bound, config)
    }

    /// Says where connections are served, once.
    pub fn serve_on(&self, threads: Vec<UnboundedSender<Arrival>>) {
        let _ = self.threads.set(threads);
    }

    /// Where connections are served.
    pub fn threads(&self) -> &[UnboundedSender<Arrival>] {
        self.threads.get().map_or(&[], Vec::as_slice)
    }

    /// Connections that have come and that nobody has accepted, for when the thread that does cannot.
    pub fn accept_now(&self, tls: &Tls) -> Vec<Arrival> {
        let bound = self.bound.lock().unwrap_or_else(PoisonError::into_inner);
        let mut arrivals = Vec::new();
        for socket in &bound.sockets {
            while let Ok((stream, peer)) = socket.accept() {
                if stream.set_nonblocking(true).is_ok() {
                    arrivals.extend(arrive(stream, peer, self.security, tls));
                }
            }
        }
        arrivals
    }

    /// Listens where the configuration says now: `CONFIG SET port` and `bind`. Does nothing where that is so already.
    /// After an error with new addresses nothing is listened on, until this is called with the old ones again.
    pub fn follow(&self, config: &Config) -> io::Result<()> {
        let mut bound = self.bound.lock().unwrap_or_else(PoisonError::into_inner);
        let (addresses, port) = (config.bind(), self.security.port(config));
        if bound.addresses == addresses && bound.port == port {
            return Ok(());
        }
        // Another port cannot be in the way of the old one, so the old sockets stay until the new ones are there.
        let mut old = std::mem::take(&mut bound.sockets);
        if bound.port == port {
            Bound { sockets: std::mem::take(&mut old), ..Bound::default() }.close();
            bound.addresses = Vec::new();
        }
        let listeners = match self.bind(&mut bound, config) {
            Ok(listeners) => listeners,
            Err(error) => {
                bound.sockets = old;
                return Err(error);
            }
        };
        Bound { sockets: old, ..Bound::default() }.close();
        for listener in listeners {
            // The thread that serves them lives as long as the process.
            if let Some(handoff) = self.handoff.get() {
                let _ = handoff.send(listener);
            }
        }
        Ok(())
    }

    fn bind(&self, bound: &mut Bound, config: &Config) -> io::Result<Vec<Listener>> {
        let (addresses, port) = (config.bind(), self.security.port(config));
        let mut listeners = Vec::new();
        if port != 0 {
            listeners = bind_tcp(&addresses, port, config.number("tcp-backlog") as i32)?;
        }
        let sockets = listeners.iter().map(std::net::TcpListener::try_clone).collect::<io::Result<_>>()?;
        *bound = Bound { addresses, port, sockets };
        Ok(listeners.into_iter().map(|listener| Listener::Tcp(listener, self.security)).collect())
    }

    /// The port that is listened on, which the kernel chose where none was configured; 0 for none.
    pub fn port(&self) -> u16 {
        let bound = self.bound.lock().unwrap_or_else(PoisonError::into_inner);
        let first = bound.sockets.first().and_then(|socket| socket.local_addr().ok());
        first.map_or(0, |address| address.port())
    }
}

/// Binds the addresses of the `bind` directive. An address that begins with `-` may be missing; any other failure is
/// an error.
pub fn bind_tcp(addresses: &[String], port: u16, backlog: i32) -> io::Result<Vec<std::net::TcpListener>> {
    let mut listeners = Vec::new();
    for address in addresses {
        let (optional, address) = match address.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, address.as_str()),
        };
        let bound = match address {
            "*" => bind_one(SocketAddr::from(([0, 0, 0, 0], port)), backlog),
            "::*" => bind_one(SocketAddr::from(([0u16; 8], port)), backlog),
            host => (host, port).to_socket_addrs().and_then(|mut found| {
                let address = found.next().ok_or(io::ErrorKind::AddrNotAvailable)?;
                bind_one(address, backlog)
            }),
        };
        match bound {
            Ok(listener) => listeners.push(listener),
            Err(error) => {
                tracing::warn!(
                    "Warning: Could not create server TCP listening socket {address}:{port}: {error}"
                );
                let missing = matches!(
                    error.raw_os_error(),
                    Some(
                        libc::ENOPROTOOPT
                            | libc::EPROTONOSUPPORT
                            | libc::ESOCKTNOSUPPORT
                            | libc::EPFNOSUPPORT
                            | libc::EAFNOSUPPORT
                    )
                );
                let unavailable = error.kind() == io::ErrorKind::AddrNotAvailable;
                let harmless = missing || (optional && unavailable);
                if !harmless {
                    return Err(error);
                }
            }
        }
    }
    Ok(listeners)
}

fn bind_one(address: SocketAddr, backlog: i32) -> io::Result<std::net::TcpListener> {
    let domain = if address.is_ipv4() { socket2::Domain::IPV4 } else { socket2::Domain::IPV6 };
    let socket = socket2::Socket::new(domain, socket2::Type::STREAM, Some(socket2::Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    if address.ip().is_loopback() {
        // Nothing is lost and nobody else's packets are in the way between two processes of one machine: the cheapest
        // congestion control will do. Connections inherit it. BBR, a common default, takes the time of every packet and
        // starts a timer for each: every sixteenth request less on a busy thread. A kernel without it changes nothing.
        let _ = socket.set_tcp_congestion(b"reno");
    }
    socket.bind(&address.into())?;
    socket.listen(backlog)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// Binds a Unix socket, replacing what an earlier process left at its path. `mode` 0 leaves the permissions to the
/// umask; any other is set before the first connection can be made.
pub fn bind_unix(path: &Path, mode: u32, backlog: i32) -> io::Result<Listener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None)?;
    socket.bind(&socket2::SockAddr::unix(path)?)?;
    if mode != 0 {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
    }
    socket.listen(backlog)?;
    socket.set_nonblocking(true)?;
    Ok(Listener::Unix(socket.into()))
}

/// Accepts for ever. An error (too many open files) never ends the loop.
pub async fn accept(
    listener: Listener,
    shared: std::sync::Arc<Shared>,
    threads: Vec<UnboundedSender<Arrival>>,
) {
    match listener {
        Listener::Tcp(listener, security) => {
            let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
            loop {
                match listener.accept().await {
                    Ok((stream, peer)) => {
                        let Ok(stream) = stream.into_std() else { continue };
                        if let Some(arrival) = arrive(stream, peer, security, &shared.tls) {
                            admit(&shared, &threads, arrival);
                        }
                    }
                    // Shut down: the port or the addresses were changed.
                    Err(error) if error.kind() == io::ErrorKind::InvalidInput => return,
                    Err(error) => failed(&error).await,
                }
            }
        }
        Listener::Unix(listener) => {
            let path = listener
                .local_addr()
                .ok()
                .and_then(|addr| addr.as_pathname().map(|p| p.display().to_string()));
            let name = format!("{}:0", path.unwrap_or_default());
            let Ok(listener) = tokio::net::UnixListener::from_std(listener) else { return };
            loop {
                match listener.accept().await {
                    Ok((stream, _)) => {
                        let Ok(stream) = stream.into_std() else { continue };
                        let arrival = Arrival {
                            socket: Accepted::Unix(stream),
                            addr: name.clone(),
                            laddr: name.clone(),
                            is_local: true,
                            is_unix: true,
                        };
                        admit(&shared, &threads, arrival);
                    }
                    Err(error) => failed(&error).await,
                }
            }
        }
    }
}

/// A connection that was accepted; `None` where TLS is to be spoken and is not configured any more.
fn arrive(stream: std::net::TcpStream, peer: SocketAddr, security: Security, tls: &Tls) -> Option<Arrival> {
    let acceptor = match security {
        Security::Plain => None,
        Security::Tls => Some(tls.acceptor()?),
    };
    Some(Arrival::of_tcp(stream, peer, acceptor))
}

async fn failed(error: &io::Error) {
    tracing::warn!("Accepting client connection: {error}");
    // Usually there are no descriptors left: trying again at once would spin.
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
}

pub(super) const DENIED: &[u8] = b"-DENIED Redis is running in protected mode because protected mode is enabled and no password \
is set for the default user. In this mode connections are only accepted from the loopback interface. If you want to \
connect from external computers to Redis you may adopt one of the following solutions: 1) Just disable protected mode \
sending the command 'CONFIG SET protected-mode no' from the loopback interface by connecting to Redis from the same \
host the server is running, however MAKE SURE Redis is not publicly accessible from internet if you do so. Use CONFIG \
REWRITE to make this change permanent. 2) Alternatively you can just disable the protected mode by editing the Redis \
configuration file, and setting the protected mode option to 'no', and then restarting the server. 3) If you started \
the server manually just for testing, restart it with the '--protected-mode no' option. 4) Setup a an authentication \
password for the default user. NOTE: You only need to do one of the above things in order for the server to start \
accepting connections from the outside.\r\n";

/// Lets a connection in, or tells it why not.
pub(crate) fn admit(shared: &Shared, threads: &[UnboundedSender<Arrival>], arrival: Arrival) {
    let hot = shared.config.hot();
    if !shared.clients.admit(hot.maxclients.get()) {
        reject(shared, arrival, b"-ERR max number of clients reached\r\n");
        return;
    }
    // Over an encrypted connection nothing can be told before the handshake: `Conn` looks after it.
    let is_encrypted = matches!(arrival.socket, Accepted::Tls(..));
    if !is_encrypted && is_denied(shared, arrival.is_local) {
        shared.clients.release();
        reject(shared, arrival, DENIED);
        return;
    }
    if let Accepted::Tcp(stream) | Accepted::Tls(stream, _) = &arrival.socket {
        let socket = socket2::SockRef::from(stream);
        // Neither failure is worth losing the connection for.
        let _ = socket.set_tcp_nodelay(true);
        let keepalive = hot.tcp_keepalive.get();
        if keepalive > 0 {
            let seconds = std::time::Duration::from_secs(u64::from(keepalive));
            let probes =
                socket2::TcpKeepalive::new().with_time(seconds).with_interval(seconds / 3).with_retries(3);
            let _ = socket.set_tcp_keepalive(&probes);
        }
    }
    let turn = shared.stats.connections.fetch_add(1, Relaxed) as usize;
    let turns = (turn..turn + threads.len()).map(|turn| turn % threads.len());
    let busy = &shared.scripts.busy;
    // A thread with a script that does not end serves nobody.
    let free = if busy.is_busy() { turns.clone().find(|thread| !busy.is_stuck(*thread)) } else { None };
    // A thread that is gone is shutting down with the process.
    let _ = threads[free.unwrap_or(turn % threads.len())].send(arrival);
}

/// Protected mode: as long as nobody needs a password, only peers on this machine may come in.
pub(super) fn is_denied(shared: &Shared, is_local: bool) -> bool {
    !is_local && shared.config.hot().protected_mode.get() && !shared.users.is_protected()
}

fn reject(shared: &Shared, arrival: Arrival, text: &[u8]) {
    use std::io::Write as _;
    shared.stats.rejected_connections.fetch_add(1, Relaxed);
    // One attempt: a peer that does not read is not worth waiting for.
    let _ = match arrival.socket {
        Accepted::Tcp(mut stream) => stream.write(text),
        // It could not be read before a handshake.
        Accepted::Tls(..) => Ok(0),
        Accepted::Unix(mut stream) => stream.write(text),
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_unix_socket_has_its_permissions_before_it_listens() {
        // It listened first once: whoever was quick came in through a socket that was meant for its owner only.
        let path = std::env::temp_dir().join(format!("tidegate-listen-{}", std::process::id()));
        let listener = bind_unix(&path, 0o700, 16).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        UnixStream::connect(&path).unwrap();
        drop(listener);
        let again = bind_unix(&path, 0o600, 16).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        drop(again);
        assert!(bind_unix(&path.join("x".repeat(200)), 0o600, 16).is_err(), "too long for the system");
        std::fs::remove_file(path).unwrap();
    }
}
