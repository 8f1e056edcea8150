//! `--class NAME|INDEX|all|none`, and lists of them.

use offramp::backbone::Config;

use super::failure::Failure;

/// The classes named by `text`, in order; images take them in turn.
pub fn parse(text: &str, config: &Config) -> Result<Vec<Option<i64>>, Failure> {
    // A label may hold a comma; then it is not a list.
    if let Some(class) = find(text, config) {
        return Ok(vec![class]);
    }
    let mut classes = vec![];
    for name in text.split(',').map(str::trim) {
        match find(name, config) {
            Some(class) => classes.push(class),
            None if name.eq_ignore_ascii_case("all") => classes.extend((0..config.num_classes).map(Some)),
            None => return Err(unknown(name, config)),
        }
    }
    Ok(classes)
}

fn find(name: &str, config: &Config) -> Option<Option<i64>> {
    if name.eq_ignore_ascii_case("none") {
        return Some(None);
    }
    config.class(name).map(Some)
}

fn unknown(name: &str, config: &Config) -> Failure {
    let lower = name.to_lowercase();
    let likeness = |label: &String| {
        let label = label.to_lowercase();
        // A part of a label ("boot") is as good as a misspelling of all of it.
        let part = label.split(|c: char| !c.is_alphanumeric()).map(|p| strsim::jaro_winkler(p, &lower));
        part.chain([strsim::jaro_winkler(&label, &lower)]).fold(0.0, f64::max)
    };
    let nearest = config
        .labels
        .iter()
        .map(|label| (likeness(label), label))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .filter(|(likeness, _)| *likeness > 0.75)
        .map(|(_, label)| label.clone());
    let last = config.num_classes - 1;
    let known = match config.labels.is_empty() {
        true => format!("there are 0 to {last}, all and none"),
        false => format!("there are {} (or 0 to {last}), all and none", config.labels.join(", ")),
    };
    Failure::Class { got: name.into(), nearest, known }
}
