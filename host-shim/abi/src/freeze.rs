//! The agreement between the shim and whoever writes an instance of it down, with its plugins started, for others to begin
//! from.

/// The shim's export that starts the plugins and makes the instance ready for it: without arguments, and its result is the
/// number of a [`Readiness`]. No component exports it; who wants it lifts it in a copy of the component.
pub const EXPORT: &str = "freeze";

/// Whether an instance may be written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Readiness {
    /// It may: nothing in its memory is of this instance alone. Its clock stands, and goes on where it is read next.
    Ready = 0,
    /// A plugin refused to start. The log has the reason.
    Refused = 1,
    /// The plugins asked for something that has not come: callouts, gRPC streams, the addresses of a name.
    Unfinished = 2,
}

impl Readiness {
    /// All of them, each at the place of its number.
    pub const ALL: [Self; 3] = [Self::Ready, Self::Refused, Self::Unfinished];
}
