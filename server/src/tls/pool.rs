//! Threads that agree with peers on keys, so that those who serve do not have to.
//!
//! A handshake takes a large part of a millisecond of pure computing, and whoever connects decides how many there are. The threads here
//! are nicer than those that serve: while these have work, new connections wait. One thread serves a connection from its beginning
//! to its end nevertheless: it gives socket and keys away for a step, and has them back when it is woken.

use super::Transport;
use crate::session::Client;
use mio::net::TcpStream;
use std::io;
use std::os::fd::AsRawFd as _;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

/// How nice these threads are: a core that is busy otherwise gives them a quarter.
const NICE: i32 = 5;

/// A socket, and what is spoken over it.
pub type Encrypted = Box<(TcpStream, Transport)>;

/// A step of a handshake that is made elsewhere.
#[derive(Debug)]
pub struct Step {
    fd: i32,
    /// The socket, and how far it came.
    done: Mutex<Option<(Encrypted, io::Result<()>)>>,
}

impl Step {
    /// One of the connection on this socket.
    pub fn of(socket: &TcpStream) -> Self {
        Step { fd: socket.as_raw_fd(), done: Mutex::default() }
    }

    /// The socket's number.
    pub fn fd(&self) -> i32 {
        self.fd
    }

    /// The socket and how far it came, as [`Transport::agree`] says; `None` until that is known.
    pub fn take(&self) -> Option<(Encrypted, io::Result<()>)> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

#[derive(Debug)]
struct Task {
    socket: Encrypted,
    step: Arc<Step>,
    client: Arc<Client>,
}

/// The threads. Each connection has one step at most under way, so `maxclients` bounds what waits for them.
#[derive(Debug)]
pub struct Pool {
    tasks: Sender<Task>,
}

impl Pool {
    /// Starts so many threads. They run where the process may, whoever calls this.
    ///
    /// # Errors
    /// The system has no thread left.
    pub fn start(threads: usize) -> io::Result<Self> {
        let (tasks, waiting) = channel();
        let waiting = Arc::new(Mutex::new(waiting));
        for _ in 0..threads.max(1) {
            let waiting = Arc::clone(&waiting);
            std::thread::Builder::new().name("handshake".to_owned()).spawn(move || work(&waiting))?;
        }
        Ok(Pool { tasks })
    }

    /// Makes the next step of a handshake; the client is woken when it is done.
    pub fn agree(&self, socket: Encrypted, step: Arc<Step>, client: &Arc<Client>) {
        let task = Task { socket, step, client: Arc::clone(client) };
        // The threads end with the process.
        if let Err(unsent) = self.tasks.send(task) {
            unsent.0.make();
        }
    }
}

impl Task {
    fn make(self) {
        let Task { mut socket, step, client } = self;
        let (stream, transport) = &mut *socket;
        let result = transport.agree(stream);
        *step.done.lock().unwrap_or_else(PoisonError::into_inner) = Some((socket, result));
        drop(step);
        client.waker.wake();
    }
}

fn work(waiting: &Mutex<Receiver<Task>>) {
    // For Linux a thread is a process here. Where neither is allowed, those who serve have less of their cores.
    let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICE);
    if let Ok(cores) = rustix::thread::sched_getaffinity(Some(rustix::process::getpid())) {
        let _ = rustix::thread::sched_setaffinity(None, &cores);
    }
    loop {
        let task = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(task) = task else { return };
        task.make();
    }
}
