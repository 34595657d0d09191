//! The parts of a memory that are not zero.

/// The most parts of one memory: an engine takes a hundred thousand in a module.
const MOST: usize = 10_000;

/// Zeros between two parts that cost about as much as the second part's header.
const GAP: usize = 8;

/// A part of a memory.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Segment<'a> {
    pub(crate) at: usize,
    pub(crate) bytes: &'a [u8],
}

/// The parts of a memory that are not zero, with zeros between them where that is shorter.
pub(crate) fn segments(memory: &[u8]) -> Vec<Segment<'_>> {
    let mut gap = GAP;
    loop {
        let segments = parts(memory, gap);
        if segments.len() <= MOST {
            return segments;
        }
        gap *= 2;
    }
}

fn parts(memory: &[u8], gap: usize) -> Vec<Segment<'_>> {
    let mut found: Vec<std::ops::Range<usize>> = Vec::new();
    let mut at = 0;
    while let Some(start) = next(memory, at, |byte| byte != 0) {
        let end = next(memory, start, |byte| byte == 0).unwrap_or(memory.len());
        match found.last_mut() {
            Some(last) if start - last.end <= gap => last.end = end,
            _ => found.push(start..end),
        }
        at = end;
    }
    found.into_iter().filter_map(|range| Some(Segment { at: range.start, bytes: memory.get(range)? })).collect()
}

fn next(memory: &[u8], from: usize, is_it: impl Fn(u8) -> bool) -> Option<usize> {
    let rest = memory.get(from..)?;
    rest.iter().position(|byte| is_it(*byte)).map(|at| from + at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(memory: &[u8]) -> Vec<(usize, usize)> {
        segments(memory).iter().map(|segment| (segment.at, segment.bytes.len())).collect()
    }

    #[test]
    fn zeros_are_left_out_where_they_are_many() {
        assert_eq!(found(&[0; 100]), []);
        let mut memory = vec![0; 100];
        memory[3] = 1;
        memory[4] = 1;
        memory[5 + GAP] = 2;
        memory[99] = 3;
        assert_eq!(found(&memory), [(3, 3 + GAP), (99, 1)]);
    }

    #[test]
    fn there_are_not_too_many() {
        let memory: Vec<u8> = (0..MOST * 40).map(|at| u8::from(at % 20 == 0)).collect();
        let found = segments(&memory);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].bytes.len(), MOST * 40 - 19);
    }
}
