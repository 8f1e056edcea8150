//! `results.md`: the whole table.

use std::fmt::Write;

use super::table::{Kind, Table, method_line};
use super::{Report, names, peers};

/// The table, how it was measured, and what is missing from it.
pub fn markdown(report: &Report) -> String {
    let table = Table::new(report);
    let mut text = String::new();
    let heads: Vec<String> = table.columns.iter().map(|column| escape(&column.head)).collect();
    let rules: Vec<&str> = table.columns.iter().map(|c| if c.numeric { "---:" } else { "---" }).collect();
    line(&mut text, &heads);
    line(&mut text, &rules.iter().map(|rule| rule.to_string()).collect::<Vec<_>>());
    for row in &table.lines {
        let mut cells: Vec<String> = row.cells.iter().map(|cell| escape(cell)).collect();
        if let Kind::Failed(error) = &row.kind {
            cells.push(format!("failed: {}", escape(error)));
        }
        cells.resize(table.columns.len(), String::new());
        line(&mut text, &cells);
    }
    text.push_str(&method(report));
    let peers = peers::told(&report.rows, &names::names(&report.rows));
    if !peers.is_empty() {
        text.push_str("\nOther programs, same weights:\n\n");
        for (name, facts) in peers {
            let _ = writeln!(text, "- {}: {}", escape(&name), escape(&facts));
        }
    }
    if !report.left_out.is_empty() {
        text.push_str("\nLeft out:\n\n");
        for (baseline, reason) in &report.left_out {
            let _ = writeln!(text, "- {}: {}", escape(baseline), escape(reason));
        }
    }
    text
}

/// How it was measured, a paragraph below a table.
pub fn method(report: &Report) -> String {
    let mut text = String::new();
    let method = method_line(report);
    if !method.is_empty() {
        let _ = write!(text, "\n{}", escape(&method));
        if !report.machine.command.is_empty() {
            let _ = write!(text, " `{}`", report.machine.command.replace(['`', '\n'], " "));
        }
        text.push('\n');
    }
    text
}

/// A line of a table; its cells are escaped already.
pub fn line(text: &mut String, cells: &[String]) {
    let _ = writeln!(text, "| {} |", cells.join(" | "));
}

/// Nothing in a name may end a cell, begin a tag or set type.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.split_whitespace().collect::<Vec<_>>().join(" ").chars() {
        match c {
            '|' | '*' | '_' | '`' | '[' | ']' | '\\' => escaped.extend(['\\', c]),
            '<' => escaped.push_str("&lt;"),
            '&' => escaped.push_str("&amp;"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_in_its_cell() {
        assert_eq!(escape("a|b\nc <img> `x`"), "a\\|b c &lt;img> \\`x\\`");
    }
}
