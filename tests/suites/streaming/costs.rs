//! What large bodies both ways cost a host.

use std::io::Write;

use anyhow::{Context, Result, ensure};
use proxy_wasm_adapter_tests::{memory, processor};

use crate::{Server, Way, connect, grew_little, read_all, request, size, write_pieces};

/// Prints the processor's time and the memory.
pub(crate) fn run(way: Way) -> Result<()> {
    let upstream = Server::start(|stream, mut reader, head| {
        let length = head.content_length().ok().flatten().unwrap_or(0) as u64;
        reader.pass(length, |_| Ok(()))?;
        write!(&mut &*stream, "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n")?;
        write_pieces(stream, length)
    })?;
    let running = way.start(upstream.address)?;
    let process = running.child.id();
    // What a host allocates once is there then.
    let (stream, mut reader) = connect(&running)?;
    request(&stream, "POST", 1)?;
    write_pieces(&stream, 1)?;
    reader.head()?.context("no response")?;
    ensure!(reader.pass(1, |_| Ok(()))? == 1, "no body came back");
    let (time, before) = (processor::time(process)?, memory::peak(process)?);
    let (stream, mut reader) = connect(&running)?;
    request(&stream, "POST", size())?;
    write_pieces(&stream, size())?;
    let read = read_all(&mut reader)?;
    ensure!(read == size(), "{read} bytes came back");
    let time = processor::time(process)? - time;
    eprintln!("{} MiB both ways through {}: {:.2} s of the processor", size() >> 20, way.name(), time.as_secs_f64());
    grew_little(&running, before)
}
