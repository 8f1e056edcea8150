//! The command as typed, for provenance: without the program's own place.

/// This process's command line.
pub fn typed() -> String {
    let words: Vec<String> = std::env::args().skip(1).collect();
    format!("offramp {}", words.join(" "))
}
