//! What the reader does: folding, stepping, searching, copying; with keys alone, too.

use anyhow::Result;
use proxy_wasm_adapter_compare::page::page;
use serde_json::json;

use crate::browser::{Browser, WIDE};
use crate::{check, everything, reports};

pub(crate) fn equal_lines_fold(browser: &mut Browser) -> Result<()> {
    browser.show(WIDE, false, true)?;
    browser.open(&page(&reports::different()))?;
    browser.settle()?;
    let folds = "[...document.querySelectorAll('#part-2 .fold')].map((fold) => fold.innerText).join()";
    let rows = "document.querySelectorAll('#part-2 .trace .row').length";
    check(browser, &[(folds, json!("39 equal lines,14 equal lines,6 equal callbacks, 18 lines")), (rows, json!(15))])?;
    browser.click("#part-2 .fold button")?;
    check(
        browser,
        &[
            (rows, json!(54)),
            // The focus stays where the button was.
            ("document.activeElement.innerText.includes('proxy_on_request_headers(2, 8, 1)')", json!(true)),
        ],
    )?;
    browser.click("#part-2 .fold:last-child button")?;
    check(browser, &[("document.querySelectorAll('#part-2 .band').length", json!(9))])?;
    // A band that is closed opens, and closes again.
    let body = "document.querySelector('#part-2 .end > .group').hidden";
    check(browser, &[(body, json!(true))])?;
    browser.click("#part-2 .end button")?;
    check(browser, &[(body, json!(false))])?;
    browser.click("#part-2 .end button")?;
    check(browser, &[(body, json!(true))])?;
    browser.click("#part-2 > summary")?;
    check(browser, &[("document.querySelector('#part-2').open", json!(false))])
}

pub(crate) fn stepping(browser: &mut Browser) -> Result<()> {
    browser.show(WIDE, true, true)?;
    browser.open(&page(&reports::different()))?;
    browser.settle()?;
    let place = "document.querySelector('#place').innerText";
    let in_sight = "(() => { const { top, bottom } = document.querySelector('.current').getBoundingClientRect(); \
                    return top > document.querySelector('#bar').getBoundingClientRect().bottom && bottom < innerHeight; })()";
    for number in [1, 2, 3, 4, 5, 6, 7, 8, 1] {
        browser.press("n")?;
        check(browser, &[(place, json!(format!("{number} of 8"))), (in_sight, json!(true))])?;
        check(browser, &[("document.querySelectorAll('.current').length", json!(1))])?;
        check(browser, &[("document.activeElement === document.querySelector('.current')", json!(true))])?;
        if number == 4 {
            browser.screenshot("stepping-dark-wide")?;
        }
    }
    browser.press("p")?;
    check(browser, &[(place, json!("8 of 8"))])?;
    browser.click("#previous")?;
    check(browser, &[(place, json!("7 of 8"))])?;
    browser.click("#next")?;
    check(browser, &[(place, json!("8 of 8"))])?;
    // In everything too, and from the current line on.
    everything(browser)?;
    check(browser, &[(place, json!("8 of 8")), (in_sight, json!(true))])?;
    browser.evaluate("document.activeElement.blur()")?;
    browser.press("p")?;
    browser.press("ArrowUp")?;
    check(browser, &[(place, json!("– of 8"))])?;
    browser.press("n")?;
    check(browser, &[(place, json!("7 of 8"))])?;
    // A part that was closed is opened on the way.
    browser.click(".switch label:first-of-type")?;
    browser.evaluate("document.querySelectorAll('details').forEach((part) => { part.open = false; })")?;
    browser.press("n")?;
    check(browser, &[(place, json!("8 of 8")), (in_sight, json!(true))])
}

pub(crate) fn searching(browser: &mut Browser) -> Result<()> {
    browser.show(WIDE, false, true)?;
    browser.open(&page(&reports::different()))?;
    browser.settle()?;
    let count = "document.querySelector('#count').innerText";
    browser.press("/")?;
    check(browser, &[("document.activeElement.id", json!("query"))])?;
    browser.write("CONFIGURED")?;
    browser.until(&format!("{count} === '1 line'"))?;
    browser.press("Enter")?;
    check(
        browser,
        &[
            (count, json!("1 of 1 line")),
            ("document.querySelector('.current').innerText.includes('configured')", json!(true)),
            (
                "[...document.querySelectorAll('mark')].map((hit) => hit.textContent).join()",
                json!("configured,configured"),
            ),
            ("document.activeElement.id", json!("query")),
        ],
    )?;
    browser.evaluate("document.querySelector('#query').select()")?;
    browser.write("get_prop")?;
    browser.until(&format!("{count} === '8 lines'"))?;
    for number in [1, 2, 3] {
        browser.press("Enter")?;
        check(browser, &[(count, json!(format!("{number} of 8 lines")))])?;
    }
    browser.screenshot("search-light-wide")?;
    // A part of a word can be a difference and a hit.
    browser.evaluate("document.querySelector('#query').select()")?;
    browser.write("return: 1")?;
    browser.until("document.querySelectorAll('mark.changed').length > 0")?;
    browser.evaluate("document.querySelector('#query').select()")?;
    browser.write("no such text (")?;
    browser.until(&format!("{count} === '0 lines'"))?;
    browser.press("Enter")?;
    browser.press("Escape")?;
    check(browser, &[(count, json!("")), ("document.querySelectorAll('mark').length", json!(0))])?;
    // Letters are text in the field, and keys out of it.
    browser.press("n")?;
    check(
        browser,
        &[
            ("document.querySelector('#query').value", json!("")),
            ("document.querySelectorAll('.current').length", json!(1)),
        ],
    )
}

pub(crate) fn copying(browser: &mut Browser) -> Result<()> {
    browser.show(WIDE, false, true)?;
    browser.allow_clipboard()?;
    browser.open(&page(&reports::different()))?;
    browser.settle()?;
    browser.press("n")?;
    browser.press("ArrowDown")?;
    browser.press("Tab")?;
    browser.press("Enter")?;
    browser.until("document.querySelector('#said').innerText === 'Copied'")?;
    check(browser, &[("navigator.clipboard.readText()", json!("x-auth: allow; user=ada; ttl=300"))])?;
    browser.press("Tab")?;
    browser.press("Enter")?;
    browser.until("navigator.clipboard.readText().then((text) => text === 'x-auth: allow; user=ada; ttl=0')")?;
    for (card, command) in [("nth-child(2)", "proxy-wasm-adapter serve"), ("last-child", "proxy-wasm-adapter compare")]
    {
        browser.click(&format!("#sides .card:{card} .copy"))?;
        browser.until(&format!("navigator.clipboard.readText().then((text) => text.startsWith('{command}'))"))?;
    }
    Ok(())
}

pub(crate) fn accessibility(browser: &mut Browser) -> Result<()> {
    browser.show(WIDE, false, true)?;
    browser.open(&page(&reports::different()))?;
    browser.settle()?;
    browser.press("n")?;
    let nameless = "[...document.querySelectorAll('button, input, summary, a')].filter((element) => !(element.getAttribute('aria-label') \
                    || element.textContent.trim() || element.labels?.[0]?.textContent.trim())).length";
    let small = "[...document.querySelectorAll('button, summary, .switch label')].filter((element) => element.checkVisibility() && \
                 !element.matches('.row .copy')).filter((element) => element.getBoundingClientRect().height < 24).length";
    let astray = "[...document.querySelectorAll('[role=cell], [role=rowheader]')].filter((cell) => cell.parentElement.role !== 'row' \
                  || !cell.closest('[role=table]')).length";
    check(
        browser,
        &[
            (nameless, json!(0)),
            (small, json!(0)),
            (astray, json!(0)),
            ("[...document.querySelectorAll('h1, h2, h3')].map((heading) => heading.tagName)[0]", json!("H1")),
            ("document.querySelectorAll('main, header, nav, footer').length", json!(4)),
            ("document.querySelector('#said').innerText", json!("Difference 1 of 8: Response of GET /private/a")),
            ("document.querySelector('.current .sign').ariaLabel", json!("Only on Envoy")),
        ],
    )?;
    // The keys of one character can be turned off.
    browser.click("#keys")?;
    browser.press("n")?;
    check(browser, &[("document.querySelector('#place').innerText", json!("1 of 8"))])?;
    // Without a mouse: the first stop leads past everything.
    browser.open(&page(&reports::different()))?;
    browser.press("Tab")?;
    browser.press("Enter")?;
    check(browser, &[("document.activeElement.id", json!("parts"))])?;
    browser.press("Tab")?;
    browser.press("Enter")?;
    check(browser, &[("document.querySelector('#part-1').open", json!(true))])
}
