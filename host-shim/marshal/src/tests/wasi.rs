//! WASI, as Envoy has it.

use proxy_wasm_abi::{
    callbacks::Id,
    enums::Errno,
    limits::{IOVECS_MAX_COUNT, LOG_MAX_BYTES, RANDOM_MAX_BYTES},
};

use super::{BAD_OUT, BAD_RANGES, MEMORY, OUT, OUT2, Running, during};
use crate::wasi::on_log_only;

const H: Id = Id::RequestHeaders;

const BADF: u32 = 8;
const FAULT: u32 = 21;
const INVAL: u32 = 28;
const NOTDIR: u32 = 20;
const NOTSUP: u32 = 58;

/// Writes vectors of these ranges; gives their pointer.
fn vectors(f: &Running<'_>, ranges: &[(u32, u32)]) -> u32 {
    let words: Vec<u8> = ranges.iter().flat_map(|(at, len)| [at.to_le_bytes(), len.to_le_bytes()]).flatten().collect();
    f.bytes(&words).0
}

#[test]
fn fd_write_is_one_record_of_all_vectors_without_the_last_line_break() {
    let log = during(H, |f| {
        let text = vectors(f, &[f.bytes(b"he"), (MEMORY + 9, 0), f.bytes(b"llo\n\n")]);
        assert_eq!(f.wasi(|c| c.fd_write(1, text, 3, OUT)), 0);
        assert_eq!(f.u32_at(OUT), 7, "the line break counts");
        assert_eq!(f.wasi(|c| c.fd_write(2, text, 1, OUT)), 0);
        assert_eq!(f.u32_at(OUT), 2);
    });
    assert_eq!(log, ["[info] p #2: hello\\n", "[error] p #2: he"]);
}

#[test]
fn fd_write_of_nothing_logs_nothing() {
    let log = during(H, |f| {
        let empty = vectors(f, &[(0, 0)]);
        assert_eq!(f.wasi(|c| c.fd_write(1, empty, 1, OUT)), 0);
        assert_eq!(f.u32_at(OUT), 0);
        for anywhere in [MEMORY, MEMORY + 1, u32::MAX] {
            assert_eq!(f.wasi(|c| c.fd_write(1, anywhere, 0, OUT)), 0, "no vectors are not looked at");
        }
        let line_break = vectors(f, &[f.bytes(b"\n")]);
        assert_eq!(f.wasi(|c| c.fd_write(1, line_break, 1, OUT)), 0);
        assert_eq!(f.u32_at(OUT), 1);
    });
    assert_eq!(log, ["[info] p #2: "]);
}

#[test]
fn fd_write_checks_the_descriptor_then_vectors_then_texts_then_the_result() {
    let log = during(H, |f| {
        let good = vectors(f, &[f.bytes(b"hello")]);
        for fd in [0, 3, u32::MAX] {
            assert_eq!(f.wasi(|c| c.fd_write(fd, MEMORY, 1, MEMORY)), BADF);
        }
        for bad in [MEMORY - 7, MEMORY, u32::MAX - 7, u32::MAX - 3, u32::MAX] {
            assert_eq!(f.wasi(|c| c.fd_write(1, bad, 1, OUT)), FAULT);
        }
        assert_eq!(f.wasi(|c| c.fd_write(1, MEMORY - 8, 2, OUT)), FAULT, "the second vector");
        assert_eq!(f.wasi(|c| c.fd_write(1, good, IOVECS_MAX_COUNT + 1, OUT)), INVAL);
        assert_eq!(f.wasi(|c| c.fd_write(1, good, u32::MAX, OUT)), FAULT);
        for (at, len) in BAD_RANGES.into_iter().filter(|(_, len)| *len > 0) {
            let bad = vectors(f, &[f.bytes(b"hello"), (at, len)]);
            assert_eq!(f.wasi(|c| c.fd_write(1, bad, 2, OUT)), FAULT);
        }
    });
    assert_eq!(log, [""; 0], "nothing of a bad call is logged");
    during(H, |f| {
        let good = vectors(f, &[f.bytes(b"hello")]);
        for out in BAD_OUT {
            assert_eq!(f.wasi(|c| c.fd_write(1, good, 1, out)), FAULT);
        }
    });
}

#[test]
fn fd_write_bounds_what_it_copies() {
    let log = during(H, |f| {
        let whole = vectors(f, &[(0, MEMORY); IOVECS_MAX_COUNT as usize]);
        assert_eq!(f.wasi(|c| c.fd_write(1, whole, IOVECS_MAX_COUNT, OUT)), 0);
        assert_eq!(f.u32_at(OUT), MEMORY * IOVECS_MAX_COUNT);
    });
    assert!(log[0].chars().count() <= 12 * LOG_MAX_BYTES as usize, "escaped");
}

#[test]
fn fdstat_is_of_something_that_can_only_be_written_to() {
    during(H, |f| {
        for fd in [1, 2] {
            f.write(OUT, &[0xaa; 25]);
            assert_eq!(f.wasi(|c| c.fd_fdstat_get(fd, OUT)), 0);
            assert_eq!(f.read(OUT, 8), [0; 8]);
            assert_eq!(f.u64_at(OUT + 8), 64);
            assert_eq!(f.read(OUT + 16, 9), [0, 0, 0, 0, 0, 0, 0, 0, 0xaa], "24 bytes");
            assert_eq!(f.wasi(|c| c.fd_fdstat_get(fd, MEMORY)), 0, "a bad pointer is no error in Envoy");
        }
        for fd in [0, 3, u32::MAX] {
            assert_eq!(f.wasi(|c| c.fd_fdstat_get(fd, OUT)), BADF);
        }
    });
}

#[test]
fn what_does_nothing_does_it_on_the_logs_descriptors_only() {
    assert_eq!(on_log_only(1), Ok(()));
    assert_eq!(on_log_only(2), Ok(()));
    for fd in [0, 3, u32::MAX] {
        assert_eq!(on_log_only(fd), Err(Errno::Badf));
    }
}

#[test]
fn tell_is_0_on_the_logs_descriptors() {
    during(H, |f| {
        assert_eq!(f.wasi(|c| c.fd_tell(1, OUT)), 0);
        assert_eq!(f.u64_at(OUT), 0);
        assert_eq!(f.wasi(|c| c.fd_tell(3, MEMORY)), BADF);
        assert_eq!(f.wasi(|c| c.fd_tell(1, MEMORY - 7)), FAULT);
    });
}

#[test]
fn what_fails_writes_its_counts_first() {
    during(H, |f| {
        assert_eq!(f.wasi(|c| c.zero_and(OUT, Errno::Notdir)), NOTDIR);
        assert_eq!(f.u32_at(OUT), 0);
        f.write(OUT, &[0xaa; 16]);
        assert_eq!(f.wasi(|c| c.sock_recv(OUT, OUT2)), NOTSUP);
        assert_eq!((f.u32_at(OUT), f.read(OUT2, 3)), (0, vec![0, 0, 0xaa]));
        assert_eq!(f.wasi(|c| c.sock_accept(OUT)), NOTSUP);
        assert_eq!(f.u64_at(OUT), 0);
        for out in BAD_OUT {
            assert_eq!(f.wasi(|c| c.zero_and(out, Errno::Notdir)), FAULT);
            assert_eq!(f.wasi(|c| c.sock_recv(out, OUT2)), FAULT);
            assert_eq!(f.wasi(|c| c.sock_accept(out)), FAULT);
        }
        assert_eq!(f.wasi(|c| c.sock_recv(OUT, MEMORY - 1)), FAULT);
    });
}

#[test]
fn there_are_no_arguments() {
    during(H, |f| {
        assert_eq!(f.wasi(|c| c.args_sizes_get(OUT, OUT2)), 0);
        assert_eq!((f.u32_at(OUT), f.u32_at(OUT2)), (0, 0));
        for out in BAD_OUT {
            assert_eq!(f.wasi(|c| c.args_sizes_get(out, OUT2)), FAULT);
            assert_eq!(f.wasi(|c| c.args_sizes_get(OUT, out)), FAULT);
        }
    });
}

#[test]
fn the_environment_is_written_as_pointers_and_texts() {
    during(H, |f| {
        assert_eq!(f.wasi(|c| c.environ_sizes_get(OUT, OUT2)), 0);
        assert_eq!((f.u32_at(OUT), f.u32_at(OUT2)), (2, 13));
        let text = 512;
        assert_eq!(f.wasi(|c| c.environ_get(OUT, text)), 0);
        assert_eq!((f.u32_at(OUT), f.u32_at(OUT + 4)), (text, text + 10));
        assert_eq!(f.read(text, 14), b"KEY=value\0E=\0\xaa");
        for out in BAD_OUT {
            assert_eq!(f.wasi(|c| c.environ_sizes_get(out, OUT2)), FAULT);
            assert_eq!(f.wasi(|c| c.environ_sizes_get(OUT, out)), FAULT);
            assert_eq!(f.wasi(|c| c.environ_get(out, text)), FAULT);
            assert_eq!(f.wasi(|c| c.environ_get(OUT, out)), FAULT);
        }
        assert_eq!(f.wasi(|c| c.environ_get(OUT, MEMORY - 12)), FAULT, "the last byte of the second");
        assert_eq!(f.wasi(|c| c.environ_get(MEMORY - 4, text)), FAULT, "the second pointer");
    });
}

#[test]
fn two_clocks_exist() {
    during(H, |f| {
        assert_eq!(f.wasi(|c| c.clock_time_get(0, OUT)), 0);
        assert_eq!(f.u64_at(OUT), 0x0102_0304_0506_0708);
        assert_eq!(f.wasi(|c| c.clock_time_get(1, OUT)), 0);
        assert_eq!(f.u64_at(OUT), 77);
        assert_eq!(f.wasi(|c| c.clock_res_get(1, OUT)), 0);
        assert_eq!(f.u64_at(OUT), 1);
        for clock in [2, 3, u32::MAX] {
            assert_eq!(f.wasi(|c| c.clock_time_get(clock, MEMORY)), NOTSUP);
            assert_eq!(f.wasi(|c| c.clock_res_get(clock, MEMORY)), NOTSUP);
        }
        assert_eq!(f.wasi(|c| c.clock_time_get(0, MEMORY - 7)), FAULT);
        assert_eq!(f.wasi(|c| c.clock_res_get(0, MEMORY - 7)), FAULT);
    });
}

#[test]
fn random_bytes_are_limited() {
    during(H, |f| {
        assert_eq!(f.wasi(|c| c.random_get(OUT, 3)), 0);
        assert_eq!(f.read(OUT, 4), [1, 2, 3, 0xaa]);
        for anywhere in [MEMORY, MEMORY + 1, u32::MAX] {
            assert_eq!(f.wasi(|c| c.random_get(anywhere, 0)), 0);
        }
        assert_eq!(f.wasi(|c| c.random_get(MEMORY - 1, 2)), FAULT);
        assert_eq!(f.wasi(|c| c.random_get(u32::MAX, 1)), FAULT);
        assert_eq!(f.wasi(|c| c.random_get(0, RANDOM_MAX_BYTES)), 0, "the whole memory");
        assert_eq!(f.wasi(|c| c.random_get(MEMORY, RANDOM_MAX_BYTES + 1)), INVAL, "before the pointer");
    });
}

#[test]
fn polling_succeeds_at_once_without_an_event() {
    during(H, |f| {
        assert_eq!(f.wasi(|c| c.poll_oneoff(OUT)), 0);
        assert_eq!(f.u32_at(OUT), 0);
        for out in BAD_OUT {
            assert_eq!(f.wasi(|c| c.poll_oneoff(out)), FAULT);
        }
    });
}
