// Redocly's rules on an OpenAPI document from standard input: one problem a line. Needs no network.
import { readFileSync } from "node:fs";
import { createConfig, lintFromString } from "@redocly/openapi-core";

const rules = {
  "operation-description": "error",
  "parameter-description": "error",
  "tag-description": "error",
  "operation-singular-tag": "error",
  "operation-4xx-problem-details-rfc7807": "error",
  "path-params-defined": "error",
  "no-invalid-parameter-examples": "error",
  "no-invalid-schema-examples": "error",
  // Of recommended-strict. A URL is the license's name for people; ours has an SPDX identifier.
  "info-license-url": "off",
};
const config = await createConfig({ extends: ["recommended-strict"], rules });
const source = readFileSync(0, "utf8");
for (const each of await lintFromString({ source, absoluteRef: "openapi.json", config })) {
  const where = each.location.map((place) => place.pointer).join(" ");
  console.log(`${each.severity} ${each.ruleId}: ${each.message} ${where}`);
}
