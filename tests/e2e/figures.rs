//! The failures that clients counted in the same test on different clusters, side by side. It only keeps and prints them.

use std::collections::BTreeMap;

use crate::clients::{Count, Through};
use crate::course::Course;

/// What was done, and by which address the clients came.
type Row = (&'static str, Through);

/// The figures of all courses of a run.
#[derive(Debug, Default)]
pub struct Figures {
    rows: Vec<Row>,
    counts: BTreeMap<(usize, Course), Count>,
}

impl Figures {
    /// Writes one down.
    pub fn add(&mut self, course: Course, act: &'static str, through: Through, count: Count) {
        let row = (act, through);
        let place = self.rows.iter().position(|known| *known == row).unwrap_or_else(|| {
            self.rows.push(row);
            self.rows.len() - 1
        });
        self.counts.insert((place, course), count);
    }

    /// Prints them as a table, one column for each course.
    pub fn print(&self) {
        let courses = [Course::Manage, Course::Consume, Course::KubeProxy];
        let played: Vec<Course> = courses
            .into_iter()
            .filter(|course| self.counts.keys().any(|(_, known)| known == course))
            .collect();
        if self.rows.is_empty() {
            return;
        }
        println!("\nFailed, and late, of all connections, in the same test:\n");
        let titles: Vec<&str> = played.iter().map(|course| course.title()).collect();
        println!("| the Deployment is | through | {} |", titles.join(" | "));
        println!("|---|---|{}", "---|".repeat(played.len()));
        for (place, (act, through)) in self.rows.iter().enumerate() {
            let cell = |course: &Course| {
                let count = self.counts.get(&(place, *course));
                count.map_or("not measured".into(), |count| {
                    format!("{}, {} of {}", count.failed, count.late, count.tried)
                })
            };
            let cells: Vec<String> = played.iter().map(cell).collect();
            println!("| {act} | {through} | {} |", cells.join(" | "));
        }
    }
}
