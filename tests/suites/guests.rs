//! Hostile filters that a seed decides, on Envoy and on `serve`: each host call has the same result in both, what becomes of
//! the request is the same, and the request behind it gets its whole right answer and sees nothing of it.
//!
//! `GUESTS_SEED` is another seed, and `GUESTS` how many there are.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Arguments;
use proxy_wasm_adapter_tests::client;
use proxy_wasm_adapter_tests::guests::{self, HEADER, Program, Random};
use proxy_wasm_adapter_tests::hosts::{Chain, Host, Running};
use proxy_wasm_adapter_tests::message::{Step, shown};
use proxy_wasm_adapter_tests::normal::is_compared;
use proxy_wasm_adapter_tests::settings;
use proxy_wasm_adapter_tests::trial::trial;
use proxy_wasm_adapter_tests::upstream::{Behaviour, Upstream, Version};

const PATIENCE: Duration = Duration::from_secs(20);

/// A run takes as long as a few other suites.
const GUESTS: usize = 300;

/// Those that a pair of hosts runs, one after the other.
const BATCH: usize = 75;

/// Plugins that start: each takes hosts of its own.
const STARTS: usize = 3;

/// Headers that hosts of components keep to themselves, or that tell the length of what is compared anyway.
const NOT_COMPARED: [&str; 7] =
    ["host", "te", "trailer", "transfer-encoding", "content-length", HEADER, "x-forwarded-proto"];

/// Hosts of components send those trailers that the head names.
const TRAILERS: &str = "x-t, x-a, x-b, x-new, x-m, x-n";

fn main() -> Result<()> {
    let arguments = Arguments::from_args();
    let seed = std::env::var("GUESTS_SEED").unwrap_or_else(|_| "guests".into());
    let count = match std::env::var("GUESTS") {
        Ok(count) => count.parse().context("`GUESTS` is a number")?,
        Err(_) => GUESTS,
    };
    let mut trials = Vec::new();
    for first in (0..count).step_by(BATCH) {
        let (seed, last) = (seed.clone(), count.min(first + BATCH));
        trials.push(trial(format!("guests {first} to {}", last - 1), move || batch(&seed, first..last)));
    }
    for number in 0..STARTS {
        let seed = seed.clone();
        trials.push(trial(format!("start {number}"), move || starts(&seed, number)));
    }
    libtest_mimic::run(&arguments, trials).exit()
}

/// A host with an upstream of its own.
struct Stage {
    host: Running,
    upstream: Upstream,
}

impl Stage {
    fn start(host: Host, name: &str, [vm, plugin]: [&str; 2]) -> Result<Self> {
        let upstream = Upstream::start_named(&format!("guests {name} {}", host.name()), Version::Http1)?;
        let mut settings = settings::to_upstream(upstream.address);
        // They would be other ones in each host.
        settings.connection.request_id = false;
        settings.plugins[0].vm_configuration = vm.into();
        settings.plugins[0].configuration = plugin.into();
        let chain = Chain { trailers: true, ..Chain::one(guests::filter(), settings) };
        Ok(Self { host: host.start(&chain)?, upstream })
    }

    /// The results that the filter logged since, by the callback's letter, up to its last callback.
    fn results(&self, from: usize, last: char) -> Result<BTreeMap<char, String>> {
        let lines = &self.host.child.lines;
        let logged = |line: &str| {
            let mut results = line.split_once("@guest ")?.1.chars();
            Some((results.next()?, results.as_str().to_string()))
        };
        let mut results = BTreeMap::new();
        let mut from = from;
        while !results.contains_key(&last) {
            let (letter, text) = lines.next(&mut from, PATIENCE, &logged).with_context(|| {
                format!("the filter's last callback did not come, only {results:?}; the host wrote:\n{lines}")
            })?;
            results.insert(letter, text);
        }
        Ok(results)
    }

    /// Sends a request; what became of it, line by line, and what the host calls gave.
    fn exchange(&self, id: &str, program: &Program) -> Result<Outcome> {
        self.upstream.behave(Behaviour { steps: vec![Step::Text(answer(id))], wait: None });
        let from = self.host.child.lines.count();
        let request = format!(
            "POST /{id} HTTP/1.1\r\nhost: example.test\r\nx-a: {id}\r\nx-b: 2\r\n{HEADER}: {}\r\nte: trailers\r\ntrailer: \
             {TRAILERS}\r\ntransfer-encoding: chunked\r\n\r\n4\r\n{id}\r\n0\r\nx-t: {id}\r\n\r\n",
            program.encoded()
        );
        let reply = client::send(self.host.address, request.as_bytes(), PATIENCE)?;
        let results = self.results(from, 'X')?;
        let mut lines = Vec::new();
        for request in self.upstream.requests(PATIENCE) {
            lines.push(format!("upstream: {}", shown(&request.head.start)));
            lines.extend(headers(&request.head.headers));
            lines.push(format!("  body {}", shown(&request.body.bytes)));
            lines.extend(headers(&request.body.trailers));
        }
        let status = reply.head.as_ref().map(|head| shown(head.status()));
        lines.push(format!("client: {status:?} {:?}", reply.end));
        lines.extend(reply.head.iter().flat_map(|head| headers(&head.headers)));
        lines.push(format!("  body {}", shown(&reply.body)));
        lines.extend(headers(&reply.trailers));
        Ok(Outcome { results, lines })
    }
}

fn answer(id: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nx-a: {id}\r\ntrailer: {TRAILERS}\r\ntransfer-encoding: chunked\r\n\r\n4\r\n{id}\r\n0\r\nx-t: {id}\r\n\r\n"
    )
}

#[derive(Debug, PartialEq)]
struct Outcome {
    /// By callback.
    results: BTreeMap<char, String>,
    /// The messages that the upstream and the client got.
    lines: Vec<String>,
}

fn headers(headers: &[(Vec<u8>, Vec<u8>)]) -> Vec<String> {
    let is_told = |name: &[u8]| is_compared(name) && !NOT_COMPARED.iter().any(|other| other.as_bytes() == name);
    let lower = |name: &[u8]| name.to_ascii_lowercase();
    let told = headers.iter().map(|(name, value)| (lower(name), value)).filter(|(name, _)| is_told(name));
    let mut told: Vec<(Vec<u8>, &Vec<u8>)> = told.collect();
    // Hosts of components keep the lines of one name together.
    told.sort_by(|(one, _), (other, _)| one.cmp(other));
    told.into_iter().map(|(name, value)| format!("  {}: {}", shown(&name), shown(value))).collect()
}

/// How two hosts differ in a program, call by call.
fn differences(program: &Program, envoy: &Outcome, here: &Outcome) -> Vec<String> {
    let mut differences = results_that_differ(program, &envoy.results, &here.results);
    if envoy.lines != here.lines {
        differences.push(format!("Envoy:\n{}\nhere:\n{}", envoy.lines.join("\n"), here.lines.join("\n")));
    }
    differences
}

fn results_that_differ(
    program: &Program,
    envoy: &BTreeMap<char, String>,
    here: &BTreeMap<char, String>,
) -> Vec<String> {
    let mut differences = Vec::new();
    for (letter, calls) in &program.sections {
        let of = |results: &BTreeMap<char, String>| results.get(letter).cloned();
        let (Some(e), Some(h)) = (of(envoy), of(here)) else {
            if of(envoy) != of(here) {
                differences.push(format!("`{letter}`: Envoy {:?}, here {:?}", of(envoy), of(here)));
            }
            continue;
        };
        for (place, call) in calls.iter().enumerate() {
            let result = |results: &str| results.as_bytes().get(place).map(|byte| byte.wrapping_sub(b'0'));
            if result(&e) != result(&h) {
                differences.push(format!("`{letter}` {call}: Envoy {:?}, here {:?}", result(&e), result(&h)));
            }
        }
    }
    differences
}

/// Runs these, one after the other, with an innocent request after each.
fn batch(seed: &str, numbers: std::ops::Range<usize>) -> Result<()> {
    let name = format!("{seed} {}", numbers.start);
    let envoy = Stage::start(Host::Envoy, &name, [""; 2])?;
    let here = Stage::start(Host::Serve, &name, [""; 2])?;
    let mut problems = Vec::new();
    for number in numbers {
        let program = guests::program(&mut Random::new(format!("{seed} {number}")));
        let told = || program.sections.iter().flat_map(|(letter, calls)| calls.iter().map(move |call| (letter, call)));
        let all = || told().map(|(letter, call)| format!("  {letter} {call}\n")).collect::<String>();
        let run =
            |stage: &Stage| stage.exchange("evil", &program).with_context(|| format!("guest {number}:\n{}", all()));
        let differences = differences(&program, &run(&envoy)?, &run(&here)?);
        if !differences.is_empty() {
            problems.push(format!("guest {number}:\n{}{}", all(), differences.join("\n")));
        }
        for stage in [&envoy, &here] {
            innocent(stage).with_context(|| format!("after guest {number}:\n{}", all()))?;
        }
    }
    ensure!(problems.is_empty(), "{} differ:\n{}", problems.len(), problems.join("\n\n"));
    Ok(())
}

/// A request whose filter does nothing gets all of its answer, and nobody sees anything of another one.
fn innocent(stage: &Stage) -> Result<()> {
    let nothing = Program { sections: vec![('X', Vec::new())] };
    let outcome = stage.exchange("good", &nothing)?;
    let expected = [
        "upstream: POST /good HTTP/1.1",
        "  x-a: good",
        "  x-b: 2",
        "  body good",
        "  x-t: good",
        "client: Some(\"200\") None",
        "  x-a: good",
        "  body good",
        "  x-t: good",
    ];
    ensure!(outcome.lines == expected, "an innocent request came to\n{}", outcome.lines.join("\n"));
    Ok(())
}

/// A plugin that makes calls when it starts, and then serves.
fn starts(seed: &str, number: usize) -> Result<()> {
    let programs = guests::start_program(&mut Random::new(format!("{seed} start {number}")));
    let encoded = programs.each_ref().map(Program::encoded);
    let run = |host: Host| {
        let stage = Stage::start(host, &format!("start {number}"), encoded.each_ref().map(String::as_str))?;
        innocent(&stage)?;
        stage.results(0, 'C')
    };
    let (envoy, here) = (run(Host::Envoy)?, run(Host::Serve)?);
    let differences: Vec<String> =
        programs.iter().flat_map(|program| results_that_differ(program, &envoy, &here)).collect();
    ensure!(differences.is_empty(), "{}", differences.join("\n"));
    Ok(())
}
