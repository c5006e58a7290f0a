// Builds the page.
//
//   npm run build -- --outDir DIR   the page: DIR/index.html and DIR/assets/NAME-HASH.EXT
//   node build.mjs --tests          the unit tests, for node's own runner
//
// Asset names carry a hash of their content, so a server may tell browsers to keep them for ever;
// index.html names them and is the only file that must not be cached.
import { createHash } from "node:crypto";
import { copyFile, mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const root = path.dirname(fileURLToPath(import.meta.url));
const target = ["es2022"];

function argument(name) {
  const at = process.argv.findIndex((a) => a === name || a.startsWith(`${name}=`));
  if (at < 0) return undefined;
  const text = process.argv[at];
  return text.includes("=") ? text.slice(text.indexOf("=") + 1) : process.argv[at + 1];
}

async function hashed(out, source, name, extension) {
  const bytes = await readFile(source);
  const hash = createHash("sha256").update(bytes).digest("hex").slice(0, 8).toUpperCase();
  const file = `assets/${name}-${hash}${extension}`;
  await copyFile(source, path.join(out, file));
  return file;
}

async function build_page(out) {
  // Only what this build owns is removed: a mistyped --outDir must not cost anybody a folder.
  await rm(path.join(out, "assets"), { recursive: true, force: true });
  await mkdir(path.join(out, "assets"), { recursive: true });
  const result = await build({
    absWorkingDir: root,
    entryPoints: { app: "src/main.ts", boot: "src/boot.ts", style: "src/style.css" },
    outdir: out,
    entryNames: "assets/[name]-[hash]",
    bundle: true,
    minify: true,
    format: "esm",
    target,
    charset: "utf8",
    metafile: true,
    logLevel: "warning",
  });
  const names = {};
  for (const [file, about] of Object.entries(result.metafile.outputs)) {
    if (about.entryPoint) {
      names[path.basename(about.entryPoint)] = path
        .relative(out, path.resolve(root, file))
        .replaceAll(path.sep, "/");
    }
  }
  names["favicon.svg"] = await hashed(out, path.join(root, "src/favicon.svg"), "favicon", ".svg");
  names["licenses.txt"] = await hashed(
    out,
    path.join(root, "node_modules/uplot/LICENSE"),
    "licenses",
    ".txt",
  );
  const template = await readFile(path.join(root, "src/index.html"), "utf8");
  const page = template.replaceAll(/\{\{([^}]+)\}\}/g, (_, name) => {
    if (!names[name]) throw new Error(`src/index.html: nothing was built for {{${name}}}`);
    return names[name];
  });
  await writeFile(path.join(out, "index.html"), page);
}

async function build_tests() {
  const out = path.join(root, "node_modules/.test-build");
  await rm(out, { recursive: true, force: true });
  const tests = (await readdir(path.join(root, "test"))).filter((name) =>
    name.endsWith(".test.ts"),
  );
  await build({
    absWorkingDir: root,
    entryPoints: tests.map((name) => `test/${name}`),
    outdir: out,
    outExtension: { ".js": ".mjs" },
    bundle: true,
    platform: "node",
    format: "esm",
    target,
    logLevel: "warning",
  });
}

if (process.argv.includes("--tests")) {
  await build_tests();
} else {
  const out = argument("--outDir");
  if (!out) {
    console.error("say where to: npm run build -- --outDir DIR");
    process.exit(2);
  }
  await build_page(path.resolve(out));
}
