//! tch 0.24 under the version number that diffusers 0.3.1 asks for.
pub use tch24::*;
