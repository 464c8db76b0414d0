//! Draws lines on logarithmic axes, as SVG that reads well on light and on dark pages.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use landline_bench::plan::Plan;

/// The folder for the SVGs of a full run. Others are written into the folder for temporary
/// files.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/plots");
const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 580.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 365.0;
/// Colours with enough contrast to white and to black, for all kinds of colour vision.
const COLOURS: [(&str, &str); 8] = [
    ("landline", "#d55e00"),
    ("nexus-web", "#0072b2"),
    ("ws-tool", "#009e73"),
    ("tungstenite", "#cc79a7"),
    ("fastwebsockets", "#8c6bb1"),
    ("tokio-websockets", "#e69f00"),
    ("beast", "#56b4e9"),
    ("bare", "#808080"),
];

/// Returns the colour of a contender, and whether its line is dashed. One that returns what the
/// other of the same name lends has the same colour.
fn style(name: &str) -> (&'static str, bool) {
    let plain = name.trim_end_matches(", owned");
    let colour = COLOURS.iter().find(|(of, _)| *of == plain).expect("a contender").1;
    (colour, plain != name)
}

pub struct Plot {
    pub title: String,
    pub x: String,
    pub y: String,
    pub series: Vec<Series>,
}

pub struct Series {
    pub name: String,
    pub points: Vec<(f64, f64)>,
}

/// Is an axis: a range of values, whole powers of its base, on a range of pixels.
struct Axis {
    base: f64,
    low: i32,
    high: i32,
    from: f64,
    to: f64,
}

impl Axis {
    fn new(base: f64, values: impl Iterator<Item = f64> + Clone, from: f64, to: f64) -> Self {
        let (least, most) = (values.clone().fold(f64::MAX, f64::min), values.fold(0.0, f64::max));
        let low = least.log(base).floor() as i32;
        let high = (most.log(base).ceil() as i32).max(low + 1);
        Self { base, low, high, from, to }
    }

    fn at(&self, value: f64) -> f64 {
        let part = (value.log(self.base) - f64::from(self.low)) / f64::from(self.high - self.low);
        self.from + part * (self.to - self.from)
    }

    fn ticks(&self) -> impl Iterator<Item = f64> {
        (self.low..=self.high).map(|power| self.base.powi(power))
    }
}

impl Plot {
    /// Writes the file. A plot without points is not drawn.
    pub fn write(&self, plan: &Plan, file: &str) {
        if self.series.iter().all(|series| series.points.is_empty()) {
            return;
        }
        let folder = match plan.is_full() {
            true => PathBuf::from(FOLDER),
            false => std::env::temp_dir().join("landline-plots"),
        };
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(format!("{file}.svg")), self.svg()).unwrap();
        println!("![{}: {}](plots/{file}.svg)\n", self.title, self.y);
    }

    fn svg(&self) -> String {
        let points = || self.series.iter().flat_map(|series| &series.points);
        // Sizes of messages read best as powers of two.
        let base = if self.x.contains("bytes") { 16.0 } else { 10.0 };
        let x = Axis::new(base, points().map(|point| point.0), LEFT, RIGHT);
        let y = Axis::new(10.0, points().map(|point| point.1), BOTTOM, TOP);

        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
             role=\"img\">\n<title>{}: {}</title>\n<style>\n\
             text {{ font: 13px sans-serif; fill: #24292f }}\n\
             .grid {{ stroke: #d0d7de; stroke-width: 1 }}\n\
             .line {{ fill: none; stroke-width: 1.5 }}\n.first {{ stroke-width: 3.5 }}\n\
             .dashed {{ stroke-dasharray: 4 3 }}\n\
             @media (prefers-color-scheme: dark) {{\n\
             text {{ fill: #e6edf3 }}\n.grid {{ stroke: #3d444d }}\n}}\n</style>\n\
             <text x=\"{LEFT}\" y=\"20\" style=\"font-weight: bold\">{}</text>\n",
            self.title, self.y, self.title
        );
        for tick in x.ticks() {
            let (at, label) = (x.at(tick), label(tick, base));
            let _ = writeln!(
                svg,
                "<path class=\"grid\" d=\"M{at:.1} {TOP}V{BOTTOM}\"/>\
                 <text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{label}</text>",
                BOTTOM + 18.0
            );
        }
        for tick in y.ticks() {
            let (at, label) = (y.at(tick), label(tick, 10.0));
            let _ = writeln!(
                svg,
                "<path class=\"grid\" d=\"M{LEFT} {at:.1}H{RIGHT}\"/>\
                 <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>",
                LEFT - 6.0,
                at + 4.0
            );
        }
        let (middle_x, middle_y) = ((LEFT + RIGHT) / 2.0, (TOP + BOTTOM) / 2.0);
        let _ = writeln!(
            svg,
            "<text x=\"{middle_x}\" y=\"{}\" text-anchor=\"middle\">{}</text>\n\
             <text transform=\"translate(16 {middle_y}) rotate(-90)\" \
             text-anchor=\"middle\">{}</text>",
            HEIGHT - 12.0,
            self.x,
            self.y
        );
        // landline is drawn last, above the others.
        for (at, series) in self.series.iter().enumerate().rev() {
            let (colour, dashed) = style(&series.name);
            let class = match (at, dashed) {
                (0, _) => "line first",
                (_, true) => "line dashed",
                (_, false) => "line",
            };
            let dots: Vec<_> = series.points.iter().map(|&(a, b)| (x.at(a), y.at(b))).collect();
            let path: Vec<_> = dots.iter().map(|(a, b)| format!("{a:.1} {b:.1}")).collect();
            let _ = writeln!(
                svg,
                "<path class=\"{class}\" stroke=\"{colour}\" d=\"M{}\"/>",
                path.join("L")
            );
            for (a, b) in dots {
                let _ =
                    write!(svg, "<circle cx=\"{a:.1}\" cy=\"{b:.1}\" r=\"3\" fill=\"{colour}\"/>");
            }
            let legend = TOP + 8.0 + 22.0 * at as f64;
            let _ = writeln!(
                svg,
                "\n<path class=\"{class}\" stroke=\"{colour}\" d=\"M{} {legend}h22\"/>\
                 <text x=\"{}\" y=\"{}\">{}</text>",
                RIGHT + 16.0,
                RIGHT + 44.0,
                legend + 4.0,
                series.name
            );
        }
        svg.push_str("</svg>\n");
        svg
    }
}

/// Returns a tick's label: powers of two with their unit.
fn label(tick: f64, base: f64) -> String {
    match tick {
        1048576.0.. if base == 16.0 => format!("{} MiB", tick / 1048576.0),
        1024.0.. if base == 16.0 => format!("{} KiB", tick / 1024.0),
        _ if base == 16.0 => format!("{tick} B"),
        1e6.. => format!("{}M", tick / 1e6),
        1e3.. => format!("{}k", tick / 1e3),
        _ => format!("{tick}"),
    }
}
