//! Looking at bytes that are in a socket without taking them, which tokio has for TCP only.

use std::io;

use rustix::net::RecvFlags;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::net::UnixStream;

/// A socket in which bytes can be looked at.
pub trait Look: AsyncRead + AsyncWrite + Unpin {
    /// Waits for bytes, copies the first of them, and leaves them in the socket. None are the end.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    fn look(&self, first: &mut [u8]) -> impl Future<Output = io::Result<usize>>;

    /// Waits until something can be read, which may turn out to be nothing.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    fn readable(&self) -> impl Future<Output = io::Result<()>>;

    /// Reads what is there.
    ///
    /// # Errors
    /// `WouldBlock` if nothing is.
    fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize>;
}

impl Look for TcpStream {
    async fn look(&self, first: &mut [u8]) -> io::Result<usize> {
        self.peek(first).await
    }

    async fn readable(&self) -> io::Result<()> {
        Self::readable(self).await
    }

    fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        Self::try_read(self, buffer)
    }
}

impl Look for UnixStream {
    async fn look(&self, first: &mut [u8]) -> io::Result<usize> {
        self.async_io(Interest::READABLE, || {
            let (looked, _) = rustix::net::recv(self, &mut *first, RecvFlags::PEEK)?;
            Ok(looked)
        })
        .await
    }

    async fn readable(&self) -> io::Result<()> {
        Self::readable(self).await
    }

    fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        Self::try_read(self, buffer)
    }
}
