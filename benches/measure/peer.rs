//! A Python child that runs the same network whenever it is told to.
//!
//! One order a line on its stdin, one answer a line on its stdout; while one side runs, the other waits on the pipe.

use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use tch::Tensor;

/// The Python child.
pub struct Peer {
    child: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

#[allow(dead_code, reason = "each bench uses its own part")]
impl Peer {
    /// Starts `python` on a script of `scripts/peers` and prints its greeting.
    pub fn start(python: &str, script: &str, arguments: &[&str]) -> Result<Self, Box<dyn Error>> {
        let mut child = Command::new(python)
            .arg(format!("scripts/peers/{script}"))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| format!("OFFRAMP_PYTHON={python}: {e}"))?;
        let orders = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().ok_or("the child has no stdout")?);
        let mut peer = Self { child, orders, answers };
        println!("against {}", peer.answer()?);
        Ok(peer)
    }

    fn answer(&mut self) -> Result<String, Box<dyn Error>> {
        let mut line = String::new();
        match self.answers.read_line(&mut line)? {
            0 => {
                Err("the Python side ended early; is scripts/peers/requirements.txt installed there?".into())
            }
            _ => Ok(line.trim().to_owned()),
        }
    }

    /// Gives an order and waits for the answer.
    pub fn ask(&mut self, order: &str) -> Result<String, Box<dyn Error>> {
        writeln!(self.orders.as_mut().ok_or("the child has no stdin")?, "{order}")?;
        self.answer()
    }

    /// Seconds that it took for `n` forwards, by its own clock.
    pub fn time(&mut self, peer: &str, n: usize) -> Result<f64, Box<dyn Error>> {
        Ok(self.ask(&format!("time {peer} {n}"))?.parse()?)
    }

    /// The largest difference between `ours` and what `peer` makes of the same input, as a share of the largest.
    pub fn disagreement(&mut self, peer: &str, ours: &Tensor, file: &Path) -> Result<f64, Box<dyn Error>> {
        self.ask(&format!("output {peer} {}", file.display()))?;
        let theirs = Tensor::read_safetensors(file)?;
        let (_, theirs) = theirs.iter().find(|(name, _)| name == "out").ok_or("the peer wrote no output")?;
        let largest = theirs.abs().max().double_value(&[]);
        Ok((ours - theirs).abs().max().double_value(&[]) / largest)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        drop(self.orders.take()); // it ends at the end of its orders
        let _ = self.child.wait();
    }
}
