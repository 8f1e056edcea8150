//! `head`: the backbone's own final layer reads the exit's state as if it were the last (ASE's shared
//! head). The stand-in for b_i is a_i itself, so it costs nothing and remembers nothing.

use tch::{TchError, Tensor};

use super::Tail;

/// The shared final layer.
#[derive(Debug, Clone, Copy)]
pub struct Head;

impl Tail for Head {
    fn spec(&self) -> String {
        "head".into()
    }

    fn stand_in(&self, _depth: usize, a: &Tensor) -> Result<Tensor, TchError> {
        Ok(a.shallow_clone())
    }

    fn share(&self) -> Box<dyn Tail> {
        Box::new(*self)
    }
}
