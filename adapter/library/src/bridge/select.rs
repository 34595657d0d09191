//! Goes on with one of several cases.

use wasm_encoder::{BlockType, InstructionSink};

/// Emits a case for each virtual machine, which the function's first parameter numbers. With one there is nothing to choose.
///
/// A case leaves the function's results.
pub(super) fn per_vm<T>(
    code: &mut InstructionSink<'_>,
    cases: &[T],
    mut emit: impl FnMut(&mut InstructionSink<'_>, &T),
) {
    if let [only] = cases {
        return emit(code, only);
    }
    let all: Vec<_> = cases.iter().map(Some).collect();
    select(code, 0, &all, |code, case| emit(code, case));
    code.unreachable();
}

/// Emits the cases that there are, each of which leaves the function's results and returns. What follows is for all other
/// numbers.
pub(super) fn select<T>(
    code: &mut InstructionSink<'_>,
    local: u32,
    cases: &[Option<T>],
    mut emit: impl FnMut(&mut InstructionSink<'_>, &T),
) {
    // One block for each case that there is, the first innermost, in one for those that there are not.
    let depth = cases.iter().flatten().count() as u32;
    if depth == 0 {
        return;
    }
    let labels: Vec<u32> = cases
        .iter()
        .scan(0, |next, case| {
            let label = *next;
            *next += u32::from(case.is_some());
            Some(if case.is_some() { label } else { depth })
        })
        .collect();
    for _ in 0..=depth {
        code.block(BlockType::Empty);
    }
    code.local_get(local).br_table(labels, depth);
    for case in cases.iter().flatten() {
        code.end();
        emit(code, case);
        code.return_();
    }
    code.end();
}
