// Options of @hey-api/openapi-ts; the build sets OPENAPI_DOCUMENT.
export default {
  input: process.env.OPENAPI_DOCUMENT,
  // Node's own module resolution needs the endings of files in imports.
  output: { path: "src/generated", module: { extension: ".js" } },
  plugins: [
    "@hey-api/typescript",
    { name: "@hey-api/client-fetch", throwOnError: true },
    { name: "@hey-api/sdk", responseStyle: "data" },
  ],
};
