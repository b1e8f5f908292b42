//! `nft list` output as a value that can be compared: without what is allocation or belongs to the process that made the table. It reads text
//! and nothing else.

use std::collections::BTreeSet;

/// The listing without its table's flags, elements in order.
///
/// An element of a hash set stands where its hash puts it, which differs from one table to the next.
pub fn sorted(listing: &str) -> String {
    rewrite(listing, |element, _| element.to_owned())
}

/// The same without the slots that endpoints sit in, sets and chains in order: chains are listed in the order in which they were made.
pub fn canonical(listing: &str) -> String {
    let text = rewrite(listing, |element, map| {
        let is_slotted = ["endpoints", "nodeport-endpoints"].contains(&map);
        match element.split_once(" : ").and_then(|(key, data)| Some((key.rsplit_once(" . ")?.0, data))) {
            Some((frontend, data)) if is_slotted => format!("{frontend} . _ : {data}"),
            _ => element.to_owned(),
        }
    });
    let blocks: BTreeSet<&str> = text.trim().trim_end_matches("\n}").split("\n\n").collect();
    blocks.into_iter().collect::<Vec<_>>().join("\n\n")
}

/// The lines that only one of two listings has, for a message.
pub fn difference(left: &str, right: &str) -> String {
    let (left, right): (BTreeSet<&str>, BTreeSet<&str>) = (left.lines().collect(), right.lines().collect());
    let only_left = left.difference(&right).map(|line| format!("- {line}\n"));
    only_left.chain(right.difference(&left).map(|line| format!("+ {line}\n"))).collect()
}

/// The listing without its table's flags: nft 1.0.6 prints the flags of a table without owner as a word that it does not read back.
pub fn without_flags(listing: &str) -> String {
    let lines = listing.lines().filter(|line| !is_table_flags(line));
    lines.map(|line| format!("{line}\n")).collect()
}

/// The flags of the table stand one tab in, those of a set two.
fn is_table_flags(line: &str) -> bool {
    line.starts_with("\tflags") || line.starts_with("table ") && line.contains("# progname")
}

fn rewrite(listing: &str, element: impl Fn(&str, &str) -> String) -> String {
    let mut text = String::new();
    let mut map = "";
    let mut elements: Option<String> = None;
    for line in listing.lines().filter(|line| !is_table_flags(line)) {
        let trimmed = line.trim();
        if let Some(name) = trimmed.strip_prefix("map ").or_else(|| trimmed.strip_prefix("set ")) {
            map = name.trim_end_matches(" {");
        }
        if let Some(first) = trimmed.strip_prefix("elements = {") {
            elements = Some(first.to_owned());
        } else if let Some(known) = &mut elements {
            *known += trimmed;
        } else {
            text.push_str(trimmed);
            text.push('\n');
        }
        if let Some(known) = elements.take_if(|known| known.ends_with('}')) {
            let each = known.trim_end_matches('}').split(',').map(|one| element(one.trim(), map));
            each.collect::<BTreeSet<_>>().into_iter().for_each(|one| text += &format!("element {one}\n"));
        }
    }
    text
}
