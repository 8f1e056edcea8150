//! `full`: never leave early. With it the sampler is the plain network, bit for bit.

use super::{Bounds, Exit, Moment};

/// Runs every block.
#[derive(Debug, Clone, Copy)]
pub struct Full;

impl Exit for Full {
    fn spec(&self) -> String {
        "full".into()
    }

    fn bounds(&self, moment: &Moment) -> Bounds {
        Bounds::exactly(moment.depth)
    }

    fn share(&self) -> Box<dyn Exit> {
        Box::new(*self)
    }
}
