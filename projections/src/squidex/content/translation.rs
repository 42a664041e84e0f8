//! How much of a content is translated: for each language of the app, the percentage of translated fields
//! that have a value.

use super::data::Partitions;
use super::schema::{App, Schema};
use crate::DocumentWriter;
use crate::squidex::value::find::ByKey;
use crate::squidex::value::key::{Keys, Ordinal};
use crate::squidex::value::members::{Members, NULL};

/// A percentage for each language of an app.
#[derive(Debug)]
pub(super) struct Translation<'a> {
    app: &'a App,
    percentages: Vec<i32>,
}

impl<'a> Translation<'a> {
    /// The translation of these data.
    pub(super) fn of(data: Members<'_>, schema: &Schema, app: &'a App) -> Self {
        let (mut data, mut fields) = (ByKey::<Ordinal>::new(data), 0);
        let mut filled = vec![0_usize; app.languages.len()];
        for field in schema.fields.iter().filter(|field| field.is_localized) {
            fields += 1;
            let partitions = data.find(field.name.as_bytes()).and_then(|found| found.object());
            for partition in partitions.into_iter().flatten().filter(|partition| partition.kind != NULL) {
                for (code, filled) in app.languages.iter().zip(&mut filled) {
                    *filled += usize::from(Partitions::are_same(code.as_bytes(), partition.key));
                }
            }
        }
        Self { app, percentages: filled.into_iter().map(|filled| percentage(filled, fields)).collect() }
    }

    pub(super) fn write(&self, document: &mut DocumentWriter<'_>, name: &str) {
        document.document(name, |document| {
            for (code, percentage) in self.app.languages.iter().zip(&self.percentages) {
                document.i32(code, *percentage);
            }
        });
    }
}

/// The percentage, rounded to the nearest integer, halves to the even one.
fn percentage(filled: usize, fields: usize) -> i32 {
    let Some(whole) = (filled * 100).checked_div(fields) else { return 100 };
    let rest = (filled * 100 - whole * fields) * 2;
    let is_up = rest > fields || rest == fields && whole % 2 == 1;
    i32::try_from(whole + usize::from(is_up)).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_rounded_to_the_even_percentage() {
        let cases =
            [(0, 0, 100), (0, 3, 0), (1, 3, 33), (2, 3, 67), (1, 6, 17), (1, 8, 12), (3, 8, 38), (8, 8, 100)];
        for (filled, fields, expected) in cases {
            assert_eq!(percentage(filled, fields), expected, "{filled} of {fields}");
        }
        for fields in 1..=400_u16 {
            for filled in 0..=fields {
                let float = (100.0 * f64::from(filled) / f64::from(fields)).round_ties_even();
                let whole = f64::from(percentage(filled.into(), fields.into()));
                assert!((whole - float).abs() < f64::EPSILON, "{filled} of {fields}");
            }
        }
    }
}
