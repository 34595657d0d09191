//! Ports for servers whose addresses stand in a component.
//!
//! Compiling is most of what it costs to start a host, and hosts keep compiled code by the component's bytes. So a server
//! gets the port that it had before, in this run and in earlier ones, unless somebody else has it: then another one.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::ops::Range;
use std::sync::OnceLock;

use sha2::{Digest, Sha256};
use tokio::net::TcpSocket;

/// Below those that systems hand out by themselves.
const PORTS: Range<u16> = 20_000..32_000;

/// How many of its own ports a name has, before any will do.
const PREFERRED: u8 = 8;

/// Listens at a port that this name had before, if it can.
///
/// # Errors
/// There is no port.
pub fn listen(name: &str) -> io::Result<TcpListener> {
    let preferred = (0..PREFERRED).find_map(|attempt| TcpListener::bind(preferred(name, attempt)).ok());
    preferred.map_or_else(|| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)), Ok)
}

/// Where nobody listens, and nobody can as long as this program runs.
///
/// # Errors
/// There is no port.
pub fn refused() -> io::Result<SocketAddr> {
    static REFUSED: OnceLock<SocketAddr> = OnceLock::new();
    if let Some(address) = REFUSED.get() {
        return Ok(*address);
    }
    let bind = |address| {
        let socket = TcpSocket::new_v4()?;
        socket.bind(address)?;
        Ok::<_, io::Error>((socket.local_addr()?, socket))
    };
    let preferred = (0..PREFERRED).find_map(|attempt| bind(preferred("refused", attempt)).ok());
    let (address, socket) = preferred.map_or_else(|| bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))), Ok)?;
    // It stays taken. Where two get here at once, one of both is never used.
    std::mem::forget(socket);
    Ok(*REFUSED.get_or_init(|| address))
}

fn preferred(name: &str, attempt: u8) -> SocketAddr {
    let digest = Sha256::new().chain_update([attempt]).chain_update(name).finalize();
    let number = u16::from_le_bytes([digest[0], digest[1]]);
    SocketAddr::from((Ipv4Addr::LOCALHOST, PORTS.start + number % (PORTS.end - PORTS.start)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_its_port_again_and_never_one_that_is_taken() -> io::Result<()> {
        let name = format!("a test in process {}", std::process::id());
        let first = listen(&name)?;
        let second = listen(&name)?;
        let (was, other) = (first.local_addr()?, second.local_addr()?);
        assert_ne!(was, other);
        drop(first);
        assert_eq!(listen(&name)?.local_addr()?, was);
        Ok(())
    }

    #[test]
    fn nobody_listens_where_requests_are_refused() -> io::Result<()> {
        let address = refused()?;
        assert_eq!(refused()?, address);
        assert!(TcpListener::bind(address).is_err());
        Ok(())
    }
}
