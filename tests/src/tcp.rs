//! What the standard library can't do with a connection.

use std::io;
use std::net::TcpStream;

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
