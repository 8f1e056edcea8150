//! A child process that answers orders, one JSON object a line.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::process::{self, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{PeerError, Program};

/// How long a child that was told to end may take.
const FAREWELL: Duration = Duration::from_secs(2);
/// How much of what it wrote to stderr is searched for its last words, bytes.
const LAST_WORDS: u64 = 4096;

/// It is killed when it is dropped, or when an answer is overdue.
pub(super) struct Child {
    name: String,
    timeout: Duration,
    process: process::Child,
    orders: Option<ChildStdin>,
    answers: Receiver<String>,
    stderr: File,
}

impl Child {
    /// Starts it; its first answer comes unasked.
    pub fn start(program: &Program, weights: &Path, name: &str) -> Result<Self, PeerError> {
        let stderr = tempfile::tempfile()?;
        let mut command = Command::new(&program.python);
        // Ctrl-C is for us: the child ends when we do.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut process = command
            .arg(&program.script)
            .arg(weights)
            .arg(name)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("HF_HUB_OFFLINE", "1")
            .env("TORCHINDUCTOR_COMPILE_THREADS", "1") // in the child itself, so that no helper outlives it
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(stderr.try_clone()?)
            .spawn()
            .map_err(|source| PeerError::Spawn { python: program.python.clone(), source })?;
        let (sender, answers) = channel();
        if let Some(stdout) = process.stdout.take() {
            // A pipe cannot be read with a time limit, a channel can; the thread ends with the pipe.
            thread::spawn(move || {
                let lines = BufReader::new(stdout).lines().map_while(Result::ok);
                lines.take_while(|line| sender.send(line.clone()).is_ok()).for_each(drop);
            });
        }
        let orders = process.stdin.take();
        Ok(Self { name: name.to_owned(), timeout: program.timeout, process, orders, answers, stderr })
    }

    /// Gives an order; its answer is still to be read.
    pub fn tell(&mut self, order: &Value) -> Result<(), PeerError> {
        let sent = self.orders.as_mut().is_some_and(|orders| writeln!(orders, "{order}").is_ok());
        if sent { Ok(()) } else { Err(self.ended()) }
    }

    /// The answer to `order`.
    pub fn answer<A: DeserializeOwned>(&mut self, order: &str) -> Result<A, PeerError> {
        let line = match self.answers.recv_timeout(self.timeout) {
            Ok(line) => line,
            Err(RecvTimeoutError::Disconnected) => return Err(self.ended()),
            Err(RecvTimeoutError::Timeout) => {
                // A late answer would be taken for the next order's.
                self.kill();
                let (peer, order, after) = (self.name.clone(), order.to_owned(), self.timeout);
                return Err(PeerError::Timeout { peer, order, after });
            }
        };
        let (peer, order) = (self.name.clone(), order.to_owned());
        let unexpected = |answer| PeerError::Answer { peer: peer.clone(), order: order.clone(), answer };
        let answer: Value = serde_json::from_str(&line).map_err(|_| unexpected(line.clone()))?;
        if let Some(message) = answer.get("error").and_then(Value::as_str) {
            return Err(PeerError::Refused { peer, order, message: message.to_owned() });
        }
        serde_json::from_value(answer).map_err(|_| unexpected(line))
    }

    /// Gives an order and waits for its answer.
    pub fn ask<A: DeserializeOwned>(&mut self, order: &Value) -> Result<A, PeerError> {
        self.tell(order)?;
        self.answer(order["order"].as_str().unwrap_or_default())
    }

    /// What to say of a child that is gone.
    fn ended(&mut self) -> PeerError {
        self.orders = None;
        let status = self.wait(FAREWELL).map_or("killed".to_owned(), |status| status.to_string());
        self.kill();
        PeerError::Ended { peer: self.name.clone(), status, last_words: self.last_words() }
    }

    fn last_words(&mut self) -> String {
        let mut read = || {
            let end = self.stderr.seek(SeekFrom::End(0))?;
            self.stderr.seek(SeekFrom::Start(end.saturating_sub(LAST_WORDS)))?;
            let mut tail = vec![];
            self.stderr.read_to_end(&mut tail)?;
            Ok::<_, std::io::Error>(tail)
        };
        let tail = read().unwrap_or_default();
        let tail = String::from_utf8_lossy(&tail);
        tail.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default().to_owned()
    }

    /// Its exit status, if it ends in time.
    fn wait(&mut self, limit: Duration) -> Option<process::ExitStatus> {
        let start = Instant::now();
        while start.elapsed() < limit {
            match self.process.try_wait() {
                Ok(None) => thread::sleep(Duration::from_millis(10)),
                Ok(status) => return status,
                Err(_) => return None,
            }
        }
        None
    }

    fn kill(&mut self) {
        // It fails where the child has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It ends at the end of its orders, unless it is busy.
        self.orders = None;
        if self.wait(Duration::from_millis(200)).is_none() {
            self.kill();
        }
    }
}
