//! The page of `compare --html`, in a real browser. Its screenshots are left in `target/tmp/page`.

mod browser;
mod reading;
mod reports;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Arguments;
use proxy_wasm_adapter_compare::page::page;
use proxy_wasm_adapter_tests::trial::trial;
use serde_json::{Value, json};

use browser::{Browser, NARROW, WIDE};
use reports::HOSTILE;

/// The bounds are for a slow machine under load; what it took is printed.
const SOON: Duration = Duration::from_secs(10);

const MARKED: &str = "document.querySelectorAll('.row.both, .row.envoy, .row.here')";

/// What a trial does with a browser.
type Look = fn(&mut Browser) -> Result<()>;

fn main() -> Result<()> {
    let arguments = Arguments::from_args();
    let trials: [(&str, Look); 13] = [
        ("what is the same says so", what_is_the_same),
        ("what differs is marked, by signs too", what_differs_is_marked),
        ("equal lines fold", reading::equal_lines_fold),
        ("keys and buttons step through the differences", reading::stepping),
        ("search finds lines that are folded away", reading::searching),
        ("a line can be copied", reading::copying),
        ("all can be reached and told without eyes or mouse", reading::accessibility),
        ("light and dark are both readable", light_and_dark),
        ("a narrow screen shows one column", narrow),
        ("reports of nothing and of differences alone", extremes),
        ("text that would harm is shown as text", hostile),
        ("twenty thousand lines are shown at once", twenty_thousand_lines),
        ("print, and no JavaScript", print_and_no_scripts),
    ];
    let trials = trials.map(|(name, run)| {
        trial(name, move || {
            let mut browser = Browser::start()?;
            run(&mut browser)?;
            browser.quiet()
        })
    });
    libtest_mimic::run(&arguments, trials.into()).exit()
}

/// Fails unless these expressions have these values.
fn check(browser: &mut Browser, expected: &[(&str, Value)]) -> Result<()> {
    for (script, value) in expected {
        let actual = browser.evaluate(script)?;
        ensure!(actual == *value, "`{script}`\nis       {actual}\nshall be {value}");
    }
    Ok(())
}

fn verdict(text: &str, detail: &str) -> (&'static str, Value) {
    ("document.querySelector('#verdict').innerText", json!(format!("{text}\n{detail}")))
}

/// The number of rows that are marked, once all that is open is built, as it is for print.
fn marked() -> String {
    format!("dispatchEvent(new Event('beforeprint')); {MARKED}.length")
}

fn everything(browser: &mut Browser) -> Result<()> {
    browser.click(".switch label:last-of-type")
}

fn what_is_the_same(browser: &mut Browser) -> Result<()> {
    browser.show(WIDE, false, true)?;
    browser.open(&page(&reports::same()))?;
    browser.settle()?;
    browser.screenshot("same-light-wide")?;
    check(
        browser,
        &[
            ("document.documentElement.lang", json!("en")),
            ("document.title", json!("Same: examples/auth-callout.wasm")),
            verdict("Same", "237 lines on both sides"),
            (&marked(), json!(0)),
            (
                "[...document.querySelectorAll('.part > summary .badge')].map((badge) => badge.innerText).join()",
                json!("✓ same,✓ same,✓ same"),
            ),
            ("document.querySelectorAll('.part[open]').length", json!(0)),
            ("document.querySelector('#place').innerText", json!("none")),
            ("document.querySelectorAll('#foot li').length", json!(2)),
        ],
    )?;
    // What is opened shows all of itself.
    browser.click("#part-2 > summary")?;
    browser.click("#part-2 .trace > summary")?;
    browser.settle()?;
    check(browser, &[("document.querySelectorAll('#part-2 .trace .row').length", json!(96)), (&marked(), json!(0))])?;
    browser.press("n")
}

fn what_differs_is_marked(browser: &mut Browser) -> Result<()> {
    browser.show(WIDE, false, true)?;
    browser.open(&page(&reports::different()))?;
    browser.settle()?;
    browser.screenshot("different-light-wide")?;
    let signs = format!(
        "[...{MARKED}].map((row) => [...row.querySelectorAll('.sign')].map((sign) => sign.textContent).join('')).join()"
    );
    let changed = "[...document.querySelectorAll('#part-2 .changed')].map((piece) => piece.textContent).join()";
    let once = "−,≠≠,≠≠,≠≠,+,+";
    check(
        browser,
        &[
            verdict("8 differences", "12 of 467 lines"),
            (&marked(), json!(12)),
            (&signs, json!(format!("{once},{once}"))),
            (changed, json!("300,0,0,1,1049010,1049026")),
            // Equal once made equal: told, and not counted.
            ("document.querySelectorAll('#part-2 .row.alike').length", json!(1)),
            (
                "[...document.querySelectorAll('#contents a')].map((link) => link.className).join()",
                json!("same,different,same,same,different"),
            ),
            ("[...document.querySelectorAll('.part')].map((part) => +part.open).join('')", json!("01001")),
        ],
    )?;
    everything(browser)?;
    browser.settle()?;
    browser.screenshot("everything-light-wide")?;
    check(
        browser,
        &[
            ("document.querySelectorAll('.fold').length", json!(0)),
            ("[...document.querySelectorAll('.part')].map((part) => +part.open).join('')", json!("11111")),
            (&marked(), json!(12)),
            ("document.querySelectorAll('.row').length", json!(467)),
            ("document.querySelectorAll('#part-2 .callback').length", json!(9)),
            // Both columns start at the same height.
            (
                "[...document.querySelectorAll('.row')].every((row) => row.children[0].offsetTop === row.children[1].offsetTop)",
                json!(true),
            ),
        ],
    )
}

fn light_and_dark(browser: &mut Browser) -> Result<()> {
    let ground = "getComputedStyle(document.body).backgroundColor";
    for (dark, name, own, other) in [
        (false, "light", "rgb(255, 255, 255)", "rgb(20, 23, 28)"),
        (true, "dark", "rgb(20, 23, 28)", "rgb(255, 255, 255)"),
    ] {
        browser.show(WIDE, dark, true)?;
        browser.open(&page(&reports::different()))?;
        browser.settle()?;
        check(browser, &[(ground, json!(own))])?;
        readable(browser).context(name)?;
        browser.click("#theme")?;
        check(browser, &[(ground, json!(other))])?;
        browser.click("#theme")?;
        check(browser, &[(ground, json!(own))])?;
        browser.open(&page(&reports::same()))?;
        everything(browser)?;
        readable(browser).context(name)?;
    }
    Ok(())
}

/// With all parts open, a line current and hits marked.
fn readable(browser: &mut Browser) -> Result<()> {
    browser.press("/")?;
    browser.write("0")?;
    browser.until("document.querySelector('#count').innerText !== ''")?;
    browser.press("Enter")?;
    browser.evaluate("document.querySelectorAll('details').forEach((part) => { part.open = true; }); dispatchEvent(new Event('beforeprint'))")?;
    let contrast = browser.evaluate(include_str!("contrast.js"))?;
    ensure!(contrast["bad"] == json!([]), "{contrast:#}");
    ensure!(contrast["checked"].as_u64() > Some(500), "{contrast}");
    Ok(())
}

fn narrow(browser: &mut Browser) -> Result<()> {
    for (dark, name) in [(false, "light"), (true, "dark")] {
        browser.show(NARROW, dark, true)?;
        browser.open(&page(&reports::different()))?;
        browser.settle()?;
        browser.screenshot(&format!("different-{name}-narrow"))?;
        let width = "document.documentElement.scrollWidth";
        check(browser, &[(width, json!(390))])?;
        for _ in 0..3 {
            browser.press("n")?;
        }
        browser.screenshot(&format!("stepping-{name}-narrow"))?;
        let below = "(() => { const [envoy, here] = [...document.querySelector('.current').children].map((cell) => cell.getBoundingClientRect()); \
                     return here.top >= envoy.bottom && envoy.width > 300; })()";
        let once = "document.querySelector('.row.equal > .cell.here').checkVisibility()";
        check(browser, &[(below, json!(true)), (once, json!(false)), (width, json!(390))])?;
    }
    Ok(())
}

fn extremes(browser: &mut Browser) -> Result<()> {
    browser.show(WIDE, true, true)?;
    browser.open(&page(&reports::report(vec![])))?;
    browser.settle()?;
    browser.screenshot("empty-dark-wide")?;
    check(
        browser,
        &[
            ("document.querySelector('#verdict').innerText", json!("Nothing was compared")),
            ("document.querySelector('main').innerText", json!("The report has no parts: nothing was run.")),
        ],
    )?;
    browser.press("n")?;
    let empty = reports::part("GET /", vec![]);
    browser.open(&page(&reports::report(vec![empty])))?;
    browser.click("#part-1 > summary")?;
    check(browser, &[("document.querySelector('.sections').innerText", json!("Nothing was seen on either side."))])?;
    browser.open(&page(&reports::unmet()))?;
    browser.settle()?;
    browser.screenshot("unmet-dark-wide")?;
    check(
        browser,
        &[
            verdict("1 expectation not met", "237 lines the same"),
            (
                "document.querySelector('#part-2 .unmet').innerText",
                json!("✗ Expected: status: 204, but Envoy answered 200"),
            ),
            ("document.querySelector('#part-2 > summary .badge').innerText", json!("✗ 1 expectation not met")),
            ("document.querySelectorAll('#notes li').length", json!(1)),
        ],
    )?;
    browser.open(&page(&reports::only_differences()))?;
    browser.settle()?;
    browser.screenshot("only-differences-dark-wide")?;
    check(
        browser,
        &[
            verdict("2 differences", "4 of 4 lines"),
            (&marked(), json!(4)),
            ("document.querySelectorAll('.row').length", json!(4)),
        ],
    )
}

fn hostile(browser: &mut Browser) -> Result<()> {
    browser.show(WIDE, false, true)?;
    browser.open(&page(&reports::hostile()))?;
    everything(browser)?;
    browser.settle()?;
    browser.screenshot("hostile-light-wide")?;
    // What does not show is named; all else is there to the letter.
    let shown = HOSTILE.chars().fold(String::new(), |mut text, character| {
        match character {
            '\0' => text.push_str("\\0"),
            '\t' => text.push_str("\\t"),
            '\u{1b}' | '\u{2028}' | '\u{2029}' | '\u{202c}' | '\u{202e}' => {
                text.push_str(&format!("U+{:04X}", u32::from(character)))
            }
            character => text.push(character),
        }
        text
    });
    check(
        browser,
        &[
            ("window.harmed === undefined", json!(true)),
            ("document.querySelectorAll('script').length", json!(2)),
            ("document.querySelectorAll('img').length", json!(0)),
            ("document.querySelector('h1').textContent", json!(shown)),
            ("document.querySelector('h2').textContent", json!(shown)),
            ("document.querySelector('.row.equal .text').textContent", json!(shown)),
            ("document.querySelector('.phase').textContent", json!(shown)),
            ("[...document.querySelectorAll('.changed')].map((piece) => piece.textContent).join()", json!("!")),
            ("document.documentElement.scrollWidth", json!(1600)),
        ],
    )
}

fn twenty_thousand_lines(browser: &mut Browser) -> Result<()> {
    browser.show(WIDE, false, true)?;
    let page = page(&reports::large(20_000));
    let loaded = browser.open(&page)?;
    browser.settle()?;
    browser.screenshot("large-light-wide")?;
    check(browser, &[verdict("5 differences", "5 of 20,015 lines"), (&marked(), json!(5))])?;
    let elements = "document.querySelectorAll('*').length";
    let folded = browser.evaluate(elements)?;
    let mut took = Vec::new();
    for (what, script) in [
        ("a step", "document.querySelector('#next').click()"),
        ("everything", "document.querySelector('[value=everything]').click()"),
        ("a step in everything", "document.querySelector('#next').click()"),
        ("to the end", "scrollTo(0, document.body.scrollHeight)"),
        (
            "the last difference",
            "document.querySelector('#previous').click(); document.querySelector('#previous').click()",
        ),
    ] {
        let frame = "new Promise((done) => requestAnimationFrame(() => setTimeout(done)))";
        let timed = format!(
            "(async () => {{ const start = performance.now(); {script}; await {frame}; return performance.now() - start; }})()"
        );
        let time = Duration::from_secs_f64(browser.evaluate(&timed)?.as_f64().context("a time")? / 1000.0);
        took.push((what, time));
        browser.settle()?;
    }
    let built = browser.evaluate(elements)?;
    eprintln!(
        "20,000 lines, {} KiB: loaded in {loaded:?} with {folded} elements; {took:?}, then {built} elements",
        page.len() / 1024
    );
    ensure!(folded.as_u64() < Some(2_000) && built.as_u64() < Some(40_000), "too many elements: {folded}, {built}");
    ensure!(loaded < SOON && took.iter().all(|(_, time)| *time < SOON), "too slow");
    check(browser, &[("document.querySelector('#place').innerText", json!("5 of 5"))])?;
    browser.screenshot("large-everything-light-wide")
}

fn print_and_no_scripts(browser: &mut Browser) -> Result<()> {
    browser.show(WIDE, true, true)?;
    browser.open(&page(&reports::different()))?;
    browser.show_print()?;
    check(
        browser,
        &[
            ("document.querySelector('#bar').checkVisibility()", json!(false)),
            ("getComputedStyle(document.body).backgroundColor", json!("rgb(255, 255, 255)")),
            (&marked(), json!(12)),
        ],
    )?;
    browser.show(WIDE, false, false)?;
    browser.open(&page(&reports::different()))?;
    browser.screenshot("no-scripts-light-wide")?;
    let text = browser.evaluate("document.body.innerText")?;
    let text = text.as_str().context("a text")?;
    for sentence in ["examples/auth-callout.wasm", "8 differences", "12 of 467 lines", "JavaScript, which is off here"]
    {
        ensure!(text.contains(sentence), "no `{sentence}` in:\n{text}");
    }
    ensure!(!text.contains("Everything"), "controls that do nothing:\n{text}");
    Ok(())
}
