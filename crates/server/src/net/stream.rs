//! A client's socket, TCP or unix, on the runtime of its worker.

use std::io;
use std::os::fd::AsRawFd;
use std::task::Poll;
use std::time::Duration;

use tokio::io::Interest;
use tokio::net::{TcpStream, UnixStream};

/// How often a wait looks whether the client has gone that has sent more already.
const HANG_UP_LOOK: Duration = Duration::from_millis(100);

/// An accepted socket that no runtime knows yet.
#[derive(Debug)]
pub enum StdStream {
    /// TCP.
    Tcp(std::net::TcpStream),
    /// A unix socket.
    Unix(std::os::unix::net::UnixStream),
}

/// A socket.
#[derive(Debug)]
pub enum Stream {
    /// TCP.
    Tcp(TcpStream),
    /// A unix socket.
    Unix(UnixStream),
}

impl Stream {
    /// Registers an accepted socket with this thread's runtime.
    pub fn adopt(stream: StdStream) -> io::Result<Self> {
        match stream {
            StdStream::Tcp(stream) => {
                stream.set_nonblocking(true)?;
                stream.set_nodelay(true)?;
                TcpStream::from_std(stream).map(Self::Tcp)
            }
            StdStream::Unix(stream) => {
                stream.set_nonblocking(true)?;
                UnixStream::from_std(stream).map(Self::Unix)
            }
        }
    }

    /// Ready when there is something to read, or the end.
    pub fn poll_read_ready(&self, context: &mut std::task::Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => stream.poll_read_ready(context),
            Self::Unix(stream) => stream.poll_read_ready(context),
        }
    }

    /// Ready when there is room to write.
    pub fn poll_write_ready(&self, context: &mut std::task::Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => stream.poll_write_ready(context),
            Self::Unix(stream) => stream.poll_write_ready(context),
        }
    }

    /// Returns when the other side has closed, or sends no more; what it has sent stays unread. Noticed at once, or within
    /// [`HANG_UP_LOOK`] if there is something to read.
    pub async fn hung_up(&self) {
        loop {
            let ready = match self {
                Self::Tcp(stream) => stream.ready(Interest::READABLE).await,
                Self::Unix(stream) => stream.ready(Interest::READABLE).await,
            };
            if ready.map_or(true, |ready| ready.is_read_closed()) {
                return;
            }
            tokio::time::sleep(HANG_UP_LOOK).await;
        }
    }

    /// Reads what is there to the end of `buffer`, as far as its capacity allows; 0 at the end of the stream.
    ///
    /// A read that leaves room has emptied the socket, and what comes later is announced anew: so the socket is marked as not
    /// readable at once. Otherwise each request would be followed by a second read, only to hear that there is nothing.
    pub fn try_read_buf(&self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        let room = buffer.capacity() - buffer.len();
        let nothing = || Err::<(), _>(io::ErrorKind::WouldBlock.into());
        let count = match self {
            Self::Tcp(stream) => stream.try_read_buf(buffer),
            Self::Unix(stream) => stream.try_read_buf(buffer),
        }?;
        if 0 < count && count < room {
            // The answer is the error that it was given.
            let _ = match self {
                Self::Tcp(stream) => stream.try_io(Interest::READABLE, nothing),
                Self::Unix(stream) => stream.try_io(Interest::READABLE, nothing),
            };
        }
        Ok(count)
    }

    /// Writes as much as there is room for.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.try_write(bytes),
            Self::Unix(stream) => stream.try_write(bytes),
        }
    }

    /// Peer address, own address, file descriptor; a unix socket's addresses are its path.
    pub fn addresses(&self) -> (String, String, i32) {
        match self {
            Self::Tcp(stream) => {
                let text = |address: io::Result<std::net::SocketAddr>| {
                    address.map_or_else(|_| "?:0".to_owned(), |address| address.to_string())
                };
                (text(stream.peer_addr()), text(stream.local_addr()), stream.as_raw_fd())
            }
            Self::Unix(stream) => {
                let path = stream
                    .local_addr()
                    .ok()
                    .and_then(|address| address.as_pathname().map(|path| path.display().to_string()))
                    .unwrap_or_default();
                (format!("{path}:0"), format!("{path}:0"), stream.as_raw_fd())
            }
        }
    }
}
