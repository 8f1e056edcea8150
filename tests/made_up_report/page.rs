//! The report as a tree of elements.

#![allow(dead_code, reason = "each test crate uses its own part")]

/// Parses the document as XML: every element is closed, every name and text escaped.
pub fn parsed(html: &str) -> roxmltree::Document<'_> {
    let options = roxmltree::ParsingOptions { allow_dtd: true, ..Default::default() };
    roxmltree::Document::parse_with_options(html, options).unwrap_or_else(|error| {
        let line = html.lines().nth(error.pos().row as usize - 1).unwrap_or_default();
        let from = (error.pos().col as usize).saturating_sub(120);
        panic!("{error}: {}", line.chars().skip(from).take(240).collect::<String>())
    })
}

/// All text of the elements of one name, in order.
pub fn texts(document: &roxmltree::Document, element: &str) -> Vec<String> {
    let text =
        |node: roxmltree::Node| node.descendants().filter_map(|n| n.text().filter(|_| n.is_text())).collect();
    document.descendants().filter(|n| n.has_tag_name(element)).map(text).collect()
}

pub fn with_class<'a>(document: &'a roxmltree::Document, class: &str) -> Vec<roxmltree::Node<'a, 'a>> {
    let has = |n: &roxmltree::Node| n.attribute("class").is_some_and(|c| c.split(' ').any(|c| c == class));
    document.descendants().filter(has).collect()
}
