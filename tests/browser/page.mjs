// A headless Chromium and what every test of the page asks of it.
import { chromium } from "playwright-core";

/** Must be closed by whoever asked for it. In the environment: CHROMIUM (/usr/bin/chromium). */
export function launch() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
}

/** A page that writes down whatever goes wrong on it, in `page.troubles`. */
export async function open_page(
  browser,
  { url, width = 1440, height = 1000, theme = "light", wait_live = true },
) {
  const context = await browser.newContext({
    viewport: { width, height },
    colorScheme: theme,
    reducedMotion: "reduce",
  });
  const page = await context.newPage();
  page.troubles = [];
  const origin = new URL(url).origin;
  await page.addInitScript((token) => {
    if (token) sessionStorage.setItem("streamobs.token", token);
    window.violations = [];
    document.addEventListener("securitypolicyviolation", (event) =>
      window.violations.push(`${event.violatedDirective}: ${event.blockedURI} ${event.sample}`),
    );
  }, process.env.TOKEN ?? "");
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type()))
      page.troubles.push(`console: ${message.text()}`);
  });
  page.on("pageerror", (error) => page.troubles.push(`exception: ${error.stack}`));
  page.on("request", (request) => {
    if (!request.url().startsWith(`${origin}/`))
      page.troubles.push(`foreign request: ${request.url()}`);
  });
  await page.goto(url);
  if (wait_live) await page.waitForSelector('#connection[data-state="live"]', { timeout: 20_000 });
  return page;
}

export async function troubles(page) {
  const violations = await page.evaluate(() => window.violations);
  return [...page.troubles, ...violations.map((text) => `CSP ${text}`)];
}

/** Waits until every chart of the window has points. */
export async function wait_for_charts(page, timeout) {
  await page.waitForFunction(
    () => {
      const charts = [...document.querySelectorAll(".chart")];
      return charts.length > 0 && charts.some((chart) => Number(chart.dataset.points) > 0);
    },
    undefined,
    { timeout },
  );
}

/** What sticks out of the window on the right, apart from what can be scrolled in its own box. */
export function overflowing(page) {
  return page.evaluate(() => {
    const width = document.documentElement.clientWidth;
    const out = [];
    if (document.documentElement.scrollWidth > width)
      out.push(`the page: ${document.documentElement.scrollWidth}`);
    for (const element of document.querySelectorAll("body *")) {
      if (element.closest(".scroll, .plot, .hidden, .skip, svg, dialog:not([open])")) continue;
      const box = element.getBoundingClientRect();
      if (box.width > 0 && box.right > width + 1)
        out.push(`${element.tagName}.${element.className} ${box.right}`);
    }
    return out;
  });
}

/** Texts whose contrast is below WCAG 2.1 AA. */
export function low_contrast(page) {
  return page.evaluate(() => {
    // A canvas turns any CSS colour into numbers.
    const context = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    const rgba = (color) => {
      context.clearRect(0, 0, 1, 1);
      context.fillStyle = color;
      context.fillRect(0, 0, 1, 1);
      return [...context.getImageData(0, 0, 1, 1).data];
    };
    const luminance = ([r, g, b]) => {
      const f = (c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4);
      return 0.2126 * f(r) + 0.7152 * f(g) + 0.0722 * f(b);
    };
    const background = (element) => {
      for (let at = element; at; at = at.parentElement) {
        const color = rgba(getComputedStyle(at).backgroundColor);
        if (color[3] === 255) return color;
      }
      return [255, 255, 255, 255];
    };
    const out = [];
    for (const element of document.querySelectorAll("body *")) {
      const own = [...element.childNodes].some(
        (node) => node.nodeType === 3 && node.textContent.trim() !== "",
      );
      if (
        !own ||
        element.closest("noscript, [hidden], dialog:not([open]), option") ||
        !element.checkVisibility()
      )
        continue;
      const style = getComputedStyle(element);
      const a = luminance(rgba(style.color));
      const b = luminance(background(element));
      const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
      const size = parseFloat(style.fontSize);
      const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
      if (ratio < (large ? 3 : 4.5))
        out.push(
          `${ratio.toFixed(2)} ${element.tagName}.${element.className} "${element.textContent.slice(0, 30)}"`,
        );
    }
    return out;
  });
}
