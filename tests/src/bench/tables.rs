//! The figures as rows of Markdown tables, with ratios. It rounds and lays out; it judges nothing.

use std::fmt::Write;
use std::time::Duration;

use super::figures::{Added, Change, Cold, FirstPacket, Memory, Proxy, Restart, Size, Times, human};

/// A table of three columns of figures.
#[derive(Debug)]
struct Table(String);

impl Table {
    fn new() -> Self {
        Self("| | Pointsman | kube-proxy | kube-proxy ÷ Pointsman |\n|---|---|---|---|\n".to_owned())
    }

    fn row(&mut self, what: &str, ours: &str, theirs: &str, ratio: &str) {
        // Writing to a String does not fail.
        let _ = writeln!(self.0, "| {what} | {ours} | {theirs} | {ratio} |");
    }

    fn times(&mut self, what: &str, ours: Duration, theirs: Duration) {
        self.row(what, &human(ours), &human(theirs), &ratio(ours.as_secs_f64(), theirs.as_secs_f64()));
    }

    fn spreads(&mut self, what: &str, ours: &Times, theirs: &Times) {
        let ratio = ratio(ours.median().as_secs_f64(), theirs.median().as_secs_f64());
        self.row(what, &ours.to_string(), &theirs.to_string(), &ratio);
    }

    fn memories(&mut self, what: &str, ours: u64, theirs: u64) {
        let [ours, theirs] = [ours, theirs].map(Memory::megabytes);
        self.row(what, &format!("{ours:.1} MB"), &format!("{theirs:.1} MB"), &ratio(ours, theirs));
    }
}

/// Everything at one size.
pub fn of_size(size: &Size) -> String {
    let Size { ours, theirs, theirs_eager, .. } = size;
    let mut table = Table::new();
    cold_rows(&mut table, &ours.cold, &theirs.cold);
    added_rows(&mut table, "defaults", &ours.added, &theirs.added);
    added_rows(&mut table, "kube-proxy with minSyncPeriod 10 ms", &ours.added, theirs_eager);
    restart_rows(&mut table, &ours.restarts, &theirs.restarts);
    table.memories("resident after the cold start", ours.memory_cold.resident, theirs.memory_cold.resident);
    table.memories(
        "resident after 50 added Services",
        ours.memory_added.resident,
        theirs.memory_added.resident,
    );
    table.memories("… at the most until then", ours.memory_added.peak, theirs.memory_added.peak);
    let most = |proxy: &Proxy, of: fn(&Memory) -> u64| {
        proxy.restarts.iter().map(|restart| of(&restart.memory)).max().unwrap_or_default()
    };
    let [resident, peak]: [fn(&Memory) -> u64; 2] = [|memory| memory.resident, |memory| memory.peak];
    table.memories("resident after a restart", most(ours, resident), most(theirs, resident));
    table.memories("… at the most until then", most(ours, peak), most(theirs, peak));
    packet_rows(&mut table, &ours.first_packet, &theirs.first_packet);
    table.0
}

fn cold_rows(table: &mut Table, ours: &[Cold], theirs: &[Cold]) {
    let answered = |colds: &[Cold]| Times::new(colds.iter().map(|cold| cold.answered).collect());
    let verified = |colds: &[Cold]| Times::new(colds.iter().map(|cold| cold.verified).collect());
    if let (Ok(ours), Ok(theirs)) = (answered(ours), answered(theirs)) {
        table.spreads("cold start: the last Service answers", &ours, &theirs);
    }
    if let (Ok(ours), Ok(theirs)) = (verified(ours), verified(theirs)) {
        table.spreads("… every Service was asked, and answered", &ours, &theirs);
    }
}

fn added_rows(table: &mut Table, how: &str, ours: &Added, theirs: &Added) {
    for percent in [50, 99] {
        let what = format!("added Service, {how}: p{percent}");
        table.times(&what, ours.from_write.percentile(percent), theirs.from_write.percentile(percent));
    }
    table.times(
        "… p50 from the last write's acknowledgement",
        ours.from_acknowledgement.median(),
        theirs.from_acknowledgement.median(),
    );
}

fn restart_rows(table: &mut Table, ours: &[Restart], theirs: &[Restart]) {
    let synced = |restarts: &[Restart]| Times::new(restarts.iter().map(|restart| restart.synced).collect());
    if let (Ok(ours), Ok(theirs)) = (synced(ours), synced(theirs)) {
        table.spreads("restart, nothing changed: in step again", &ours, &theirs);
    }
    let most = |restarts: &[Restart]| {
        restarts.iter().map(|restart| restart.writes.clone()).max_by_key(super::figures::Writes::contents)
    };
    if let (Some(ours), Some(theirs)) = (most(ours), most(theirs)) {
        table.row("… kernel's notices of writes", &ours.to_string(), &theirs.to_string(), "");
    }
    let failed = |restarts: &[Restart]| {
        let failed: u64 = restarts.iter().map(|restart| restart.failed).sum();
        let all: u64 = restarts.iter().map(|restart| restart.connects).sum();
        format!("{failed} of {all}")
    };
    table.row("… failed connects meanwhile", &failed(ours), &failed(theirs), "");
    let slowest =
        |restarts: &[Restart]| restarts.iter().map(|restart| restart.slowest).max().unwrap_or_default();
    table.times("… slowest connect meanwhile", slowest(ours), slowest(theirs));
}

fn packet_rows(table: &mut Table, ours: &FirstPacket, theirs: &FirstPacket) {
    for percent in [50, 99] {
        let of = |times: &Times| times.percentile(percent);
        let what = format!("connect() to a pod itself: p{percent}");
        table.times(&what, of(&ours.direct), of(&theirs.direct));
        for (position, place) in ["first", "middle", "last"].into_iter().enumerate() {
            let what = format!("first packet, {place} Service: p{percent} (over the pod itself)");
            let [ours, theirs] =
                [ours, theirs].map(|packets| (of(&packets.services[position]), of(&packets.direct)));
            let cell = |(service, direct): (Duration, Duration)| {
                format!("{} ({})", human(service), difference(service, direct))
            };
            let ratio = ratio(ours.0.as_secs_f64(), theirs.0.as_secs_f64());
            table.row(&what, &cell(ours), &cell(theirs), &ratio);
        }
    }
}

/// What single changes cost.
pub fn of_changes(changes: &[Change]) -> String {
    let mut text = String::from(
        "| change of one endpoint | frontends | kernel p50 | kernel p99 | plan to kernel's answer p50 | p99 |\n|---|---|---|---|---|---|\n",
    );
    for change in changes {
        for cost in &change.costs {
            let [half, most] = [50, 99].map(|percent| human(cost.kernel.percentile(percent)));
            let [whole, longest] = [50, 99].map(|percent| human(cost.whole.percentile(percent)));
            let _ = writeln!(
                text,
                "| {} | {} | {half} | {most} | {whole} | {longest} |",
                cost.what, change.frontends
            );
        }
    }
    text
}

fn difference(service: Duration, direct: Duration) -> String {
    match service.checked_sub(direct) {
        Some(more) => format!("+{}", human(more)),
        None => format!("−{}", human(direct.abs_diff(service))),
    }
}

fn ratio(ours: f64, theirs: f64) -> String {
    if ours <= 0.0 {
        return String::new();
    }
    let ratio = theirs / ours;
    if ratio >= 10.0 { format!("{ratio:.0}") } else { format!("{ratio:.2}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_and_differences_read_well() {
        for (ours, theirs, expected) in
            [(1.0, 32.3, "32"), (2.0, 3.0, "1.50"), (4.0, 1.0, "0.25"), (0.0, 1.0, "")]
        {
            assert_eq!(ratio(ours, theirs), expected);
        }
        let micros = Duration::from_micros;
        assert_eq!(difference(micros(18), micros(14)), "+4.0 µs");
        assert_eq!(difference(micros(14), micros(15)), "−1.0 µs");
    }
}
