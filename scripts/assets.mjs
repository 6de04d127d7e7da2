// Compile bot/console/assets/*.scss and gather the scripts that the pages load, into
// bot/console/static/build/ (made, never committed). Run by `make assets` or `npm run build`.
//
// Left out on purpose: the crown, the crest and the GDS Transport font. They are for gov.uk only.

import { cp, mkdir, readdir, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import * as sass from "sass";

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "..");
const from = path.join(root, "bot/console/assets");
const to = path.join(root, "bot/console/static/build");
const packages = path.join(root, "node_modules");

const scripts = {
  "govuk-frontend.min.js": "govuk-frontend/dist/govuk/govuk-frontend.min.js",
  "moj-frontend.min.js": "@ministryofjustice/frontend/moj/moj-frontend.min.js",
  "htmx.min.js": "htmx.org/dist/htmx.min.js",
  "htmx-ext-sse.min.js": "htmx-ext-sse/dist/sse.min.js",
};

async function list(folder) {
  try {
    return await readdir(folder);
  } catch (error) {
    if (error.code === "ENOENT") return [];
    throw error;
  }
}

await rm(to, { recursive: true, force: true });
await mkdir(to, { recursive: true });

for (const [name, source] of Object.entries(scripts)) {
  await cp(path.join(packages, source), path.join(to, name));
}

// MOJ Frontend's styles point at these icons.
const icons = path.join(packages, "@ministryofjustice/frontend/moj/assets/images");
for (const name of await list(icons)) {
  if (name.startsWith("icon-")) await cp(path.join(icons, name), path.join(to, "images", name));
}

for (const name of await list(from)) {
  const source = path.join(from, name);
  if (name.startsWith("_")) continue; // a part, taken in by another sheet
  if (name.endsWith(".scss")) {
    const { css } = sass.compile(source, {
      loadPaths: [
        path.join(packages, "govuk-frontend/dist"),
        path.join(packages, "@ministryofjustice/frontend"),
        packages,
        root,
      ],
      style: "compressed",
      quietDeps: true,
    });
    await writeFile(path.join(to, name.replace(/\.scss$/, ".css")), css);
  } else {
    await cp(source, path.join(to, name), { recursive: true });
  }
}
