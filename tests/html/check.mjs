// Opens every page of a folder in Chromium and names what is wrong with it. `run` says what for.
import { readdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { chromium } from "playwright-core";

const folder = resolve(process.argv[2]);
const SCREENS = [
  { name: "desk", width: 1280, height: 900 },
  { name: "phone", width: 390, height: 844 },
];
// The width of an A4 page between its margins, in CSS pixels.
const PAPER_WIDTH = 680;

/** What can be seen in the document itself, whatever the screen. Runs in the page. */
function readDocument() {
  const faults = [];
  const fault = (text) => faults.push(text);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const name = (element) => `<${element.tagName.toLowerCase()}${element.id ? ` id=${element.id}` : ""}>`;

  if (document.documentElement.lang !== "en") fault("the document names no language");
  if (!document.title.trim()) fault("the document has no title");
  if (all("main").length !== 1 || all("h1").length !== 1) fault("there is not one main part and one first heading");
  if (all("script, iframe, object, embed, link[rel=stylesheet]").length) fault("the page holds more than text and pictures");
  for (const element of all("*")) {
    for (const { name: attribute, value } of element.attributes) {
      if (attribute.startsWith("on")) fault(`${name(element)} has a handler ${attribute}`);
      if (["src", "href", "xlink:href"].includes(attribute) && !/^(#|data:)/.test(value)) fault(`${name(element)} points to ${value}`);
    }
  }
  let level = 0;
  for (const heading of all("h1, h2, h3, h4, h5, h6")) {
    const next = Number(heading.tagName[1]);
    if (next > level + 1) fault(`heading "${heading.textContent}" skips a level`);
    level = next;
  }
  const ids = all("[id]").map((element) => element.id);
  for (const id of new Set(ids.filter((id, at) => ids.indexOf(id) !== at))) fault(`id ${id} is used twice`);
  for (const link of all("a[href^='#']")) {
    if (!document.getElementById(link.getAttribute("href").slice(1))) fault(`link "${link.textContent}" goes nowhere`);
    if (!link.textContent.trim()) fault(`a link to ${link.getAttribute("href")} has no name`);
  }
  for (const element of all("[aria-labelledby]")) {
    for (const id of element.getAttribute("aria-labelledby").split(" ")) {
      if (!document.getElementById(id)?.textContent.trim()) fault(`${name(element)} is named by ${id}, which is nothing`);
    }
  }

  for (const table of all("table")) {
    if (!table.caption?.textContent.trim()) fault("a table has no caption");
    if (all("thead th:not([scope=col])", table).length) fault(`a heading of "${table.caption?.textContent}" has no scope`);
    const width = table.tHead?.rows[0]?.cells.length;
    for (const row of table.tBodies[0]?.rows ?? []) {
      if (row.cells[0]?.scope !== "row") fault(`a row of "${table.caption?.textContent}" has no heading`);
      if (row.cells.length !== width) fault(`a row of "${table.caption?.textContent}" is ragged`);
    }
    const region = table.closest("[role=region]");
    if (region?.tabIndex !== 0) fault(`"${table.caption?.textContent}" cannot be scrolled with the keyboard`);
  }
  for (const picture of all("svg:not([aria-hidden=true])").filter((svg) => !svg.parentElement.closest("svg"))) {
    if (picture.getAttribute("role") !== "img") fault("a picture is not said to be one");
    for (const tag of ["title", "desc"]) {
      if (!picture.querySelector(`:scope > ${tag}`)?.textContent.trim()) fault(`a picture has no ${tag}`);
    }
    if (!picture.closest("section").querySelector("table tbody tr")) fault("a picture has no table behind it");
  }
  for (const section of all("section.block")) {
    const sql = section.querySelector("details[id^=query-] pre[id^=sql-]");
    if (!sql?.textContent.trim()) fault(`section ${section.id} does not show its query`);
    if (!section.querySelector(`a[href='#${sql?.id}']`) && section.querySelector("data")) fault(`section ${section.id} does not link its query`);
  }

  // What is rounded for reading agrees with its exact value.
  for (const data of all("data")) {
    const exact = Number(data.value);
    const text = data.textContent.replace(/[$,%]/g, "").replace("−", "-").replace("<", "");
    const places = text.includes(".") ? text.split(".")[1].length : 0;
    const shown = data.textContent.endsWith("%") ? Number(text) / 100 : Number(text);
    const slack = data.textContent.endsWith("%") ? 0.00051 + (data.textContent.startsWith("<") ? 0.001 : 0) : 0.51 * 10 ** -places;
    if (!(Math.abs(exact - shown) <= slack + Math.abs(exact) * 1e-12)) fault(`${data.textContent} stands for ${data.value}`);
  }
  return faults;
}

/** What depends on the screen and the colours. Runs in the page. */
function readScreen() {
  const faults = [];
  const page = document.documentElement;
  if (page.scrollWidth > page.clientWidth) {
    const wide = [...document.querySelectorAll("body *")].find(
      (element) => element.getBoundingClientRect().right > page.clientWidth + 1 && !element.closest(".scroll, pre, svg"),
    );
    faults.push(`the page is ${page.scrollWidth} wide in ${page.clientWidth}: ${wide?.outerHTML.slice(0, 120)}`);
  }

  const channel = (value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
  const colour = (text) => text.match(/[\d.]+/g).map(Number);
  const luminance = ([r, g, b]) => 0.2126 * channel(r / 255) + 0.7152 * channel(g / 255) + 0.0722 * channel(b / 255);
  const contrast = (a, b) => {
    const [light, dark] = [luminance(a), luminance(b)].sort((x, y) => y - x);
    return (light + 0.05) / (dark + 0.05);
  };
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const [r, g, b, alpha = 1] = colour(getComputedStyle(at).backgroundColor);
      if (alpha > 0) return [r, g, b];
    }
    return [255, 255, 255];
  };
  const seen = new Set();
  const judge = (element, text, least, what) => {
    const ratio = contrast(colour(text), ground(element));
    const key = `${what} ${text}`;
    if (ratio < least && !seen.has(key)) {
      seen.add(key);
      faults.push(`${what} has a contrast of ${ratio.toFixed(2)}, less than ${least}: ${element.textContent.slice(0, 40)}`);
    }
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    if (!node.textContent.trim() || !element.checkVisibility() || element.closest("title, desc")) continue;
    const style = getComputedStyle(element);
    const size = parseFloat(style.fontSize);
    const least = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700) ? 3 : 4.5;
    judge(element, element.closest("svg") ? style.fill : style.color, least, "text");
    if (size < 11) faults.push(`text of ${size}px: ${node.textContent.slice(0, 40)}`);
  }
  for (const shape of document.querySelectorAll("svg .free, svg .firm, svg .stripe, svg .dot")) {
    judge(shape.closest("svg").parentElement, getComputedStyle(shape).fill, 3, "a bar");
  }
  for (const line of document.querySelectorAll("svg .line-1, svg .line-2, svg .line-3")) {
    judge(line.closest("svg").parentElement, getComputedStyle(line).stroke, 3, "a line");
  }
  for (const label of document.querySelectorAll("figure svg text")) {
    const box = label.getBoundingClientRect();
    if (box.left < -1 || box.right > page.clientWidth + 1) faults.push(`a label leaves the screen: ${label.textContent}`);
  }
  return faults;
}

/** What would be cut off at the edge of the paper. Runs in the page. */
function readPaper() {
  const cut = [...document.querySelectorAll(".scroll, body")].filter((box) => box.scrollWidth > box.clientWidth + 1);
  return cut.map((box) => `${box.scrollWidth} px on paper of ${box.clientWidth}: ${box.querySelector("caption")?.textContent}`);
}

async function check(browser, file) {
  const faults = [];
  const url = pathToFileURL(join(folder, file)).href;
  for (const { name, ...viewport } of SCREENS) {
    for (const colorScheme of ["light", "dark"]) {
      const where = `${name}, ${colorScheme}`;
      const page = await browser.newPage({ viewport, colorScheme });
      page.on("console", (message) => faults.push(`${where}: console: ${message.text()}`));
      page.on("pageerror", (error) => faults.push(`${where}: ${error.message}`));
      page.on("request", (request) => request.url() === url || request.url() === "data:," || faults.push(`${where}: request ${request.url()}`));
      await page.goto(url);
      faults.push(...(await page.evaluate(readScreen)).map((fault) => `${where}: ${fault}`));
      await page.screenshot({ path: join(folder, `${file}.${name}.${colorScheme}.png`), fullPage: true });
      if (name === "desk" && colorScheme === "light") {
        faults.push(...(await page.evaluate(readDocument)));
        await follow(page, faults);
      }
      await page.close();
    }
  }
  const page = await browser.newPage({ viewport: { width: PAPER_WIDTH, height: 960 }, colorScheme: "dark" });
  await page.goto(url);
  await page.pdf({ path: join(folder, `${file}.pdf`), preferCSSPageSize: true });
  await page.emulateMedia({ media: "print" });
  faults.push(...(await page.evaluate(readPaper)).map((fault) => `paper: ${fault}`));
  await page.close();
  return faults;
}

/** A link to a query shows it, though it was folded away. */
async function follow(page, faults) {
  const link = page.locator("main a[href^='#sql-']").first();
  if (!(await link.count())) return;
  const target = await link.getAttribute("href");
  await link.click();
  if (!(await page.locator(target).isVisible())) faults.push(`the link to ${target} does not show the query`);
}

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });
let failed = 0;
const files = readdirSync(folder).filter((file) => file.endsWith(".html"));
for (const file of files) {
  const faults = await check(browser, file);
  failed += faults.length;
  console.log(faults.length ? `FAIL  ${file}` : `ok  ${file}`);
  faults.forEach((fault) => console.log(`      ${fault}`));
}
await browser.close();
console.log(`${files.length} pages, ${failed} faults`);
process.exitCode = failed || !files.length ? 1 : 0;
