//! Load, and what it costs the host.

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use proxy_wasm_adapter_peers::http1::blocking::Reader;
use proxy_wasm_adapter_tests::processor;

use crate::scenario::Request;

/// How hosts are asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    /// Connections, each with one request at a time.
    pub(crate) connections: usize,
    /// Requests per second of all connections together; without, as many as there are answers.
    pub(crate) rate: Option<f64>,
}

/// What one host did in one round.
#[derive(Clone, Debug)]
pub(crate) struct Round {
    /// Processor time per request, in microseconds.
    pub(crate) cpu_us: f64,
    /// Requests per second.
    pub(crate) rate: f64,
    /// From when a request was due to its answer's last byte, in microseconds; sorted.
    latencies_us: Vec<f64>,
}

impl Round {
    /// The latency that this share of the requests does not exceed.
    pub(crate) fn latency_us(&self, share: f64) -> f64 {
        let last = self.latencies_us.len().saturating_sub(1);
        self.latencies_us.get((last as f64 * share).round() as usize).copied().unwrap_or_default()
    }
}

impl Load {
    /// Asks a host, which is this process and its children.
    pub(crate) fn run(self, address: SocketAddr, host: u32, request: &Request, time: Duration) -> Result<Round> {
        let over = AtomicBool::new(false);
        let before = processor::time(host)?;
        let began = Instant::now();
        let latencies = thread::scope(|scope| {
            let ask = |number| self.ask(number, address, request, began, &over);
            let clients: Vec<_> = (0..self.connections).map(|number| scope.spawn(move || ask(number))).collect();
            thread::sleep(time);
            over.store(true, Ordering::Relaxed);
            let asked = clients.into_iter().map(|client| client.join().expect("a client does not panic"));
            asked.collect::<Result<Vec<_>>>()
        })?;
        let took = began.elapsed().as_secs_f64();
        let mut latencies_us: Vec<f64> = latencies.into_iter().flatten().collect();
        latencies_us.sort_by(f64::total_cmp);
        let count = latencies_us.len() as f64;
        ensure!(count > 0.0, "no answer in {time:?}");
        let cpu_us = (processor::time(host)? - before).as_secs_f64() * 1e6 / count;
        Ok(Round { cpu_us, rate: count / took, latencies_us })
    }

    /// One request after the other until it is over.
    fn ask(
        self,
        number: usize,
        address: SocketAddr,
        request: &Request,
        began: Instant,
        over: &AtomicBool,
    ) -> Result<Vec<f64>> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        let mut reader = Reader::new(stream.try_clone()?);
        let mut stream = stream;
        let status = request.status.to_string();
        let interval = self.rate.map(|rate| Duration::from_secs_f64(self.connections as f64 / rate));
        // Not all at the same time.
        let mut due = interval.map(|interval| began + interval.mul_f64(number as f64 / self.connections as f64));
        let mut latencies = Vec::new();
        while !over.load(Ordering::Relaxed) {
            let mut from = Instant::now();
            if let (Some(due), Some(interval)) = (&mut due, interval) {
                thread::sleep(due.saturating_duration_since(from));
                // A host that is late is late for those that wait behind, too.
                from = *due;
                *due += interval;
            }
            stream.write_all(&request.bytes)?;
            let head = reader.head()?.context("no response")?;
            let body = reader.response_body(&head, false);
            ensure!(head.status() == status.as_bytes() && !body.cut, "{head:?}");
            latencies.push(from.elapsed().as_secs_f64() * 1e6);
        }
        Ok(latencies)
    }
}

/// Answers so many bytes to each request, on as many connections as come, for as long as the process lives.
pub(crate) fn upstream(bytes: usize) -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let mut answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {bytes}\r\n\r\n").into_bytes();
    answer.resize(answer.len() + bytes, b'a');
    let answer = Arc::new(answer);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answer = answer.clone();
            // One that fails has no client any more.
            thread::spawn(move || serve(stream, &answer));
        }
    });
    Ok(address)
}

fn serve(mut stream: TcpStream, answer: &[u8]) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = Reader::new(stream.try_clone()?);
    while let Some(head) = reader.head()? {
        reader.request_body(&head);
        stream.write_all(answer)?;
    }
    Ok(())
}
