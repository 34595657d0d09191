//! Programs that a seed decides: most arguments are good for something, some are at an edge.
//!
//! Left out is what another test is about or what leaves nothing to compare: see [`is_comparable`].

use proxy_wasm_abi::host_calls::HostCall;
use proxy_wasm_abi::pairs;

use super::filter::{GOODS, OUT, calls};
use super::{Allocator, Call, Program, Random};
use crate::hostile::is_without_effect;

/// Numbers for everything: those of `hostile`, and small ones.
const EDGES: [u32; 12] = [0, 1, 2, 3, 7, 8, 65_532, 65_535, 65_536, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff];

/// Places for results: good ones, some that overlap, and bad ones.
const OUTS: [u32; 8] = [OUT, OUT + 8, OUT + 16, OUT + 2, 65_528, 65_532, 65_533, 0xffff_fffc];

const LOCAL_RESPONSE: &str = "proxy_send_local_response";

/// As long as what is good for something, together.
const LONG: u32 = 1_024;

/// A list of values, and where the filter has them.
fn goods() -> Vec<Vec<u8>> {
    let map = |entries: &[(&[u8], &[u8])]| pairs::encode(entries.iter().copied());
    let mut goods: Vec<Vec<u8>> = [
        b"x-a".as_slice(),
        b"X-B",
        b"x-new",
        b"1",
        b"a value",
        b"bad\nvalue\0",
        b"",
        b"request\0method",
        b"request\0path",
        b"request\0headers\0x-a",
        b"response\0code",
        b"plugin_name",
        b"nothing\0there",
        b"wasm\0own",
        b"compress",
        b"no_such_function",
        b"no_such_cluster",
        b"\x7f\xff\xff\xff\x01\0\0\0",
    ]
    .map(Vec::from)
    .into();
    goods.push(map(&[(b"x-m", b"1")]));
    goods.push(map(&[(b"x-m", b"1"), (b"X-M", b"2"), (b"x-n", b"")]));
    goods.push(map(&[(b":method", b"GET"), (b":path", b"/c"), (b":authority", b"a")]));
    // An entry that is longer than the map.
    goods.push([1u32, 3, 400].iter().flat_map(|number| number.to_le_bytes()).chain(*b"x-a").collect());
    goods
}

/// All of them, one after the other.
pub(super) fn goods_bytes() -> Vec<u8> {
    goods().concat()
}

/// Of the goods, names of headers, and what a header's value can be.
const NAMES: [usize; 3] = [0, 1, 2];
const VALUES: [usize; 5] = [0, 1, 2, 3, 4];

/// Of the goods, maps of headers, and what is none.
const MAPS: [usize; 3] = [18, 19, 21];

/// Two arguments that say where bytes are.
fn range(random: &mut Random) -> [u32; 2] {
    if random.one_in(5) {
        return [random.choose(&EDGES), random.choose(&EDGES)];
    }
    let count = goods().len();
    good(random.below(count))
}

/// The same, one of these or out of bounds: what no head can have is refused by hosts of components, in their way.
fn range_of(random: &mut Random, numbers: &[usize]) -> [u32; 2] {
    if random.one_in(5) {
        return [65_536 + random.below(3) as u32, 1 + random.choose(&EDGES) / 2];
    }
    good(random.choose(numbers))
}

fn good(number: usize) -> [u32; 2] {
    let goods = goods();
    let at = GOODS + goods[..number].iter().map(|bytes| bytes.len() as u32).sum::<u32>();
    [at, goods[number].len() as u32]
}

/// A letter for each argument: the greatest number that it is where it is no edge, `e` an edge, `o` a place for a result; and
/// for two of them `r` a range, `n` a header's name, `v` its value, `m` a map; `s` and `g` a status of HTTP and of gRPC.
fn shape(call: &HostCall) -> String {
    let known = match call.name {
        "proxy_log" => "6r",
        "proxy_get_log_level" | "proxy_get_current_time_nanoseconds" => "o",
        "proxy_set_effective_context" => "2",
        "proxy_get_property" => "roo",
        "proxy_set_property" => "rr",
        "proxy_get_header_map_value" => "4roo",
        "proxy_get_header_map_pairs" | "proxy_get_buffer_status" => "4oo",
        "proxy_get_header_map_size" => "4o",
        "proxy_add_header_map_value" | "proxy_replace_header_map_value" => "4nv",
        "proxy_remove_header_map_value" => "4n",
        "proxy_set_header_map_pairs" => "4m",
        "proxy_get_buffer_bytes" => "388oo",
        "proxy_set_buffer_bytes" => "388r",
        "proxy_get_status" => "ooo",
        "proxy_http_call" => "rrrr9o",
        LOCAL_RESPONSE => "svvmg",
        "proxy_get_shared_data" => "rooo",
        "proxy_set_shared_data" => "rr0",
        "proxy_register_shared_queue" => "ro",
        "proxy_resolve_shared_queue" => "rro",
        "proxy_enqueue_shared_queue" => "er",
        "proxy_dequeue_shared_queue" => "eoo",
        "proxy_define_metric" => "4ro",
        // An instance counts by itself.
        "proxy_increment_metric" | "proxy_record_metric" => "e9",
        "proxy_get_metric" => "eo",
        "proxy_call_foreign_function" => "rroo",
        "fd_write" => "3r",
        _ => "",
    };
    if known.is_empty() { "9".repeat(call.params().count()) } else { known.into() }
}

fn arguments(random: &mut Random, call: &HostCall) -> Vec<u32> {
    let mut arguments = Vec::new();
    for kind in shape(call).chars() {
        match kind {
            'r' => arguments.extend(range(random)),
            'n' => arguments.extend(range_of(random, &NAMES)),
            'v' => arguments.extend(range_of(random, &VALUES)),
            'm' => arguments.extend(range_of(random, &MAPS)),
            's' => arguments.push(random.choose(&[200, 204, 403, 503])),
            'g' => arguments.push(random.choose(&[0, 7, u32::MAX])),
            'e' => arguments.push(random.choose(&EDGES[6..])),
            'o' if random.one_in(4) => arguments.push(random.choose(&OUTS)),
            // Each result has a place of its own.
            'o' => arguments.push(OUT + 16 * arguments.len() as u32),
            _ if random.one_in(6) => arguments.push(random.choose(&EDGES)),
            limit => arguments.push(random.below(1 + limit.to_digit(10).unwrap_or(9) as usize) as u32),
        }
    }
    arguments.resize(call.params().count(), OUT);
    arguments
}

/// Whether Envoy survives it, and whether its result is the same each time.
fn is_comparable(letter: char, call: &HostCall, allocator: Allocator, arguments: &[u32]) -> bool {
    // The host itself wrote there, and not the same each time: addresses, times.
    let is_long = |pair: &[u32]| pair[1] > LONG && u64::from(pair[0]) + u64::from(pair[1]) <= 65_536;
    if arguments.windows(2).any(is_long) {
        return false;
    }
    match call.name {
        // Ticks come when they come, and an instance that is told that it is done is another matter.
        "proxy_set_tick_period_milliseconds" => arguments[0] == 0,
        "proxy_done" | "envoy_resolve_dns" => false,
        // An instance shares with itself alone, and a guest may come to another one than the guest before.
        "proxy_get_shared_data" | "proxy_resolve_shared_queue" => false,
        "proxy_set_shared_data" => arguments[4] == 0,
        // The clock's numbers say which is which.
        "poll_oneoff" | "sched_yield" => false,
        // Envoy's function writes where the allocator gave nothing, and ends.
        "proxy_call_foreign_function" => allocator == Allocator::Good,
        // Without its pseudo-headers a message ends Envoy.
        "proxy_set_header_map_pairs" => ![0, 2].contains(&arguments[0]),
        // Elsewhere it is too late: the head may have gone.
        LOCAL_RESPONSE if letter == 'h' => true,
        "proxy_get_buffer_bytes" | "proxy_get_buffer_status" | "proxy_set_buffer_bytes" => arguments[0] != 8,
        _ => is_without_effect(call, arguments),
    }
}

fn section(random: &mut Random, letter: char, calls: &[&'static HostCall], max: usize) -> Vec<Call> {
    let mut section = Vec::new();
    for _ in 0..random.below(max + 1) {
        let replies = letter == 'h' && random.one_in(20);
        let number = match calls.iter().position(|call| call.name == LOCAL_RESPONSE) {
            Some(number) if replies => number,
            _ => random.below(calls.len()),
        };
        let call = calls[number];
        let arguments = arguments(random, call);
        let allocator = match random.below(8) {
            0 => Allocator::Nothing,
            1 => Allocator::OutOfBounds,
            _ => Allocator::Good,
        };
        if is_comparable(letter, call, allocator, &arguments) {
            section.push(Call { allocator, number, call, arguments });
        }
    }
    section
}

fn program_of(random: &mut Random, letters: &str, max: usize) -> Program {
    let all = calls();
    let sections = letters.chars().map(|letter| (letter, section(random, letter, &all, max)));
    Program { sections: sections.collect() }
}

/// Whether it is so in a stream that the filter itself answered.
fn is_comparable_when_answered(letter: char, call: &Call) -> bool {
    match call.call.name {
        // Envoy cuts a body off that becomes longer than its head has said, and here the head says it right.
        "proxy_set_buffer_bytes" => letter != 'B' || call.arguments[0] != 1,
        _ => true,
    }
}

/// A program for the callbacks of a stream. Each has a section, so that each is seen to come.
pub fn program(random: &mut Random) -> Program {
    let mut program = program_of(random, "hbtHBRLDX", 8);
    if program.calls('h').iter().any(|call| call.call.name == LOCAL_RESPONSE) {
        for (letter, calls) in &mut program.sections {
            calls.retain(|call| is_comparable_when_answered(*letter, call));
        }
    }
    program
}

/// The callbacks of the start: those of each configuration.
pub const CALLBACKS_OF_START: [&str; 2] = ["V", "C"];

/// Programs for the callbacks of the start: the virtual machine's and the plugin's.
pub fn start_program(random: &mut Random) -> [Program; 2] {
    CALLBACKS_OF_START.map(|letters| program_of(random, letters, 40))
}
