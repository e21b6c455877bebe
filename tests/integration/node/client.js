// A client made from the .proto files as they are: commits, watches, resumes, and reads why it was
// refused. Prints what it saw as one JSON object.
//
// usage: node client.js PROTO_DIRECTORY ADDRESS
"use strict";

const { randomBytes } = require("node:crypto");
const grpc = require("@grpc/grpc-js");
const { loadSync } = require("@grpc/proto-loader");
const protobuf = require("protobufjs");

const [protoDirectory, address] = process.argv.slice(2);
const definition = loadSync("holdfast/v1/state_service.proto", {
  includeDirs: [protoDirectory],
  longs: String, // 64-bit numbers keep all their digits
  enums: String,
  oneofs: true,
  defaults: true,
});
const { StateService } = grpc.loadPackageDefinition(definition).holdfast.v1;
const client = new StateService(address, grpc.credentials.createInsecure());
const actor = { id: "node", kind: "ACTOR_KIND_AI" };
const DEADLINE_MS = 10_000;

// The part of google/rpc that says why a call was refused.
const { root } = protobuf.parse(`
  syntax = "proto3";
  message Any { string type_url = 1; bytes value = 2; }
  message Status { int32 code = 1; string message = 2; repeated Any details = 3; }
  message ErrorInfo { string reason = 1; string domain = 2; map<string, string> metadata = 3; }
`);

function reasonOf(error) {
  const [details] = error.metadata.get("grpc-status-details-bin");
  const status = root.lookupType("Status").decode(details);
  const info = status.details.find((any) => any.typeUrl.endsWith("/google.rpc.ErrorInfo"));
  return root.lookupType("ErrorInfo").decode(info.value);
}

function call(method, request) {
  const options = { deadline: Date.now() + DEADLINE_MS };
  return new Promise((resolve, reject) => {
    client[method](request, options, (error, response) => (error ? reject(error) : resolve(response)));
  });
}

function put(key, value, extra = {}) {
  const op = { collection: "parts", key, put: { json: JSON.stringify(value) } };
  return call("Commit", { space: "default", ops: [op], actor, commitId: randomBytes(16), ...extra });
}

// Collects `count` commits; `started` resolves with the first message, after which none is missed.
function watch(resumeToken, count) {
  const stream = client.Watch({ space: "default", resumeToken });
  const seen = { commits: [], token: resumeToken };
  let begun;
  const started = new Promise((resolve) => (begun = resolve));
  const done = new Promise((resolve, reject) => {
    stream.on("data", (message) => {
      begun();
      if (seen.commits.length === count) return;
      seen.token = message.resumeToken;
      if (message.event === "commit") seen.commits.push(message.commit);
      if (seen.commits.length === count) {
        stream.cancel();
        resolve(seen);
      }
    });
    stream.on("error", (error) => {
      if (error.code !== grpc.status.CANCELLED) reject(error);
    });
  });
  return { started, done };
}

function told(commit) {
  return commit.changes.map(({ record }) => ({
    key: record.key,
    json: record.json,
    deleted: record.deleted,
    revision: record.version.revision,
  }));
}

async function main() {
  const first = watch(Buffer.alloc(0), 2);
  await first.started;
  const commitId = randomBytes(16);
  const receipt = await put("a", { n: 1 }, { commitId });
  const repeated = await put("a", { n: 1 }, { commitId });
  await put("b", { n: 2 });
  await put("c", { n: 3 });
  const before = await first.done;

  const op = { collection: "parts", key: "a", delete: {} };
  await call("Commit", { space: "default", ops: [op], actor });
  const after = await watch(before.token, 2).done;

  const refused = await put("", {}).catch(reasonOf);
  const read = await call("Get", { space: "default", collection: "parts", key: "c" });
  console.log(
    JSON.stringify({
      sameCommit: receipt.opId.seq === repeated.opId.seq,
      before: before.commits.map(told),
      after: after.commits.map(told),
      refused: { reason: refused.reason, domain: refused.domain, remedy: refused.metadata.remedy },
      read: read.record.json,
      actor: read.record.actor,
    }),
  );
}

main()
  .then(() => client.close())
  .catch((error) => {
    console.error(error);
    process.exitCode = 1;
  });
