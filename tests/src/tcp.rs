//! What the standard library can't do with a connection.

use std::io;
use std::net::{TcpListener, TcpStream};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The next connection that is made within this time. The listener serves nothing else afterwards.
///
/// # Errors
/// Nobody connects, or the listener's.
pub fn accept(listener: &TcpListener, patience: Duration) -> io::Result<TcpStream> {
    const LOOK: Duration = Duration::from_millis(2);
    listener.set_nonblocking(true)?;
    let until = Instant::now() + patience;
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false)?;
                return Ok(stream);
            }
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
            Err(_) if Instant::now() < until => sleep(LOOK),
            Err(_) => return Err(io::Error::new(io::ErrorKind::TimedOut, "nobody connects")),
        }
    }
}

/// Closes a connection with a reset, once nobody else has it.
///
/// # Errors
/// The connection's.
pub fn reset(stream: &TcpStream) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let _entered = runtime.enter();
    let stream = stream.try_clone()?;
    stream.set_nonblocking(true)?;
    tokio::net::TcpStream::from_std(stream)?.set_zero_linger()
}
