//! A server that is a process of its own.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A server that is a process of its own.
pub struct Process {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    stderr: Option<JoinHandle<String>>,
}

impl Process {
    /// With this command, which says where it listens.
    pub fn spawn(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let address = lines
            .find_map(|line| {
                let (_, address) = line.split_once("listening on http://")?;
                address.trim_end_matches(['"', '}']).parse().ok()
            })
            .expect("the child says where it listens");
        // A pipe that nobody reads would stop the child.
        let stderr = std::thread::spawn(move || lines.fold(String::new(), |text, line| text + &line + "\n"));
        Self { child, address, stderr: Some(stderr) }
    }

    /// Ends it. Gives what it wrote to stderr since it listens.
    pub fn end(mut self) -> String {
        self.child.kill().unwrap();
        self.stderr.take().unwrap().join().unwrap()
    }

    /// Whether it has not ended yet.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits until it has ended by itself, in good order. Gives what it wrote to stderr since it listens.
    pub fn ended(mut self, patience: Duration) -> String {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                assert!(status.success(), "{status}");
                return self.stderr.take().unwrap().join().unwrap();
            }
            assert!(begun.elapsed() < patience, "it does not end");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Sends it the signal of this name, such as `TERM`.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// The most memory that it ever had, in bytes.
    pub fn peak_memory(&self) -> u64 {
        self.status("VmHWM:")
    }

    /// The memory that it has, in bytes.
    pub fn memory(&self) -> u64 {
        self.status("VmRSS:")
    }

    fn status(&self, field: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
