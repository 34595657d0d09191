//! Figures as a table and as a picture.

use std::path::Path;

use anyhow::{Context, Result};
use plotters::prelude::{
    BLACK, Color, EmptyElement, IntoDrawingArea, IntoFont, RGBColor, Rectangle, SVGBackend, Text, TextStyle, WHITE,
};
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::contestant::Contestant;
use crate::measure::Round;
use crate::scenario::Scenario;

/// What one contestant did in all rounds of a scenario.
pub(crate) struct Line {
    pub(crate) contestant: Contestant,
    pub(crate) rounds: Vec<Round>,
}

impl Line {
    fn cpu(&self) -> Spread {
        Spread::of(self.rounds.iter().map(|round| round.cpu_us))
    }

    fn median(&self, of: impl Fn(&Round) -> f64) -> f64 {
        Spread::of(self.rounds.iter().map(of)).median
    }

    /// Its processor time over that of another one, round by round.
    fn ratio(&self, to: &Self) -> f64 {
        let pairs = self.rounds.iter().zip(&to.rounds);
        Spread::of(pairs.map(|(own, to)| own.cpu_us / to.cpu_us)).median
    }
}

/// The middle of some figures, and how far they go.
struct Spread {
    least: f64,
    median: f64,
    most: f64,
}

impl Spread {
    fn of(figures: impl Iterator<Item = f64>) -> Self {
        let mut figures: Vec<f64> = figures.collect();
        figures.sort_by(f64::total_cmp);
        let at = |index: usize| figures.get(index).copied().unwrap_or(f64::NAN);
        Self { least: at(0), median: at(figures.len() / 2), most: at(figures.len().saturating_sub(1)) }
    }
}

/// The table of a scenario, in Markdown. All are compared with the first line.
pub(crate) fn table(scenario: &Scenario, lines: &[Line]) -> String {
    let mut text = format!("### {}\n\n{}.\n\n", scenario.name, capitalized(scenario.about));
    text += "| | CPU us a request | least to most | to the first | requests/s | median us | 99 % us |\n";
    text += "|---|---|---|---|---|---|---|\n";
    for line in lines {
        let cpu = line.cpu();
        let ratio = lines.first().map_or(f64::NAN, |first| line.ratio(first));
        text += &format!(
            "| {} | {:.1} | {:.1} to {:.1} | {ratio:.2} | {:.0} | {:.0} | {:.0} |\n",
            line.contestant.name,
            cpu.median,
            cpu.least,
            cpu.most,
            line.median(|round| round.rate),
            line.median(|round| round.latency_us(0.5)),
            line.median(|round| round.latency_us(0.99)),
        );
    }
    text
}

fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

const WIDTH: u32 = 760;
const ROW: i32 = 26;
/// Where bars begin.
const LEFT: i32 = 220;
/// The longest bar.
const BAR: f64 = 440.0;

/// Bars of processor time, drawn into this file.
pub(crate) fn plot(scenario: &Scenario, lines: &[Line], file: &Path) -> Result<()> {
    let most = lines.iter().map(|line| line.cpu().median).fold(0.0, f64::max);
    let height = ROW * (lines.len() as i32 + 2);
    let area = SVGBackend::new(file, (WIDTH, height as u32)).into_drawing_area();
    let draw = || -> std::result::Result<(), Box<dyn std::error::Error>> {
        area.fill(&WHITE)?;
        let font = ("sans-serif", 14).into_font();
        let left = TextStyle::from(font.clone()).color(&BLACK);
        let right = left.clone().pos(Pos::new(HPos::Right, VPos::Top));
        let title = format!("{}: CPU us a request, less is better", scenario.name);
        area.draw(&Text::new(title, (10, 8), left.clone()))?;
        for (row, line) in lines.iter().enumerate() {
            let top = ROW * (row as i32 + 1) + 8;
            let cpu = line.cpu();
            let length = (cpu.median / most * BAR).round() as i32;
            let color = if row == 0 { RGBColor(120, 120, 120) } else { RGBColor(70, 120, 180) };
            area.draw(&Text::new(line.contestant.name, (LEFT - 10, top), right.clone()))?;
            area.draw(&Rectangle::new([(LEFT, top), (LEFT + length, top + ROW - 8)], color.filled()))?;
            let figure = Text::new(format!("{:.1}", cpu.median), (6, 0), left.clone());
            area.draw(&(EmptyElement::at((LEFT + length, top)) + figure))?;
        }
        area.present()?;
        Ok(())
    };
    draw().map_err(|error| anyhow::anyhow!("{error}")).with_context(|| format!("draws {}", file.display()))
}
