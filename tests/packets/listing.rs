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

/// The lines that only one of two listings has, for a message; else the first line that stands elsewhere.
pub fn difference(left: &str, right: &str) -> String {
    let (all_left, all_right): (BTreeSet<&str>, BTreeSet<&str>) =
        (left.lines().collect(), right.lines().collect());
    let only_left = all_left.difference(&all_right).map(|line| format!("- {line}\n"));
    let only: String =
        only_left.chain(all_right.difference(&all_left).map(|line| format!("+ {line}\n"))).collect();
    let moved = || left.lines().zip(right.lines()).find(|(left, right)| left != right);
    if only.is_empty() { format!("{:?} stand in each other's place", moved()) } else { only }
}

/// The listing without its table's flags and owner: nft 1.0.6 prints the flags of a table whose owner is gone as a word that it does not read
/// back, and beside an owned one the owner's name.
pub fn without_flags(listing: &str) -> String {
    let mut flags = false;
    // The flags of a table stand one tab in, those of a set two; an empty line follows.
    let lines = listing.lines().filter(|line| {
        let after_flags = std::mem::replace(&mut flags, line.starts_with("\tflags"));
        !(flags || after_flags && line.is_empty())
    });
    let without_owner = |line: &str| match line.split_once(" # progname") {
        Some((table, _)) if line.starts_with("table ") => format!("{table}\n"),
        _ => format!("{line}\n"),
    };
    lines.map(without_owner).collect()
}

fn rewrite(listing: &str, element: impl Fn(&str, &str) -> String) -> String {
    let mut text = String::new();
    let mut map = "";
    let mut elements: Option<String> = None;
    for line in without_flags(listing).lines() {
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
