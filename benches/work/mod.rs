//! The cores of a call, one by one, each made ready and warm: what the benches by time and by instructions run.

mod actors;
mod requests;
mod tokens;

pub(crate) use actors::{CacheHit, Lease, Limit};
pub(crate) use requests::{Chain, Decide, Parse, Render};
pub(crate) use tokens::{VerifyEdDsa, VerifyEs256, VerifyHs256};

/// The allocator of the binary.
#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How often a core runs before it is measured: by then it has all the memory that it will ever have.
const WARM: usize = 64;

/// One core of a call.
pub(crate) trait Core: Sized {
    /// Whatever it works on.
    fn ready() -> Self;

    /// Does its work once, and lets go of what came of it.
    fn run(&mut self);

    /// The same, having run before.
    fn warm() -> Box<Self> {
        let mut core = Box::new(Self::ready());
        (0..WARM).for_each(|_| core.run());
        core
    }
}
