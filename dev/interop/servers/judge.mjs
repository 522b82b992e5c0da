// Judges FHIR R4 resources by HL7's JSON schema: a line each on standard input, a list of findings each on standard output.
//
//   node judge.mjs MODULES

import { createRequire } from 'node:module';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const require = createRequire(join(process.argv[2], 'here.js'));
const Validator = require('@asymmetrik/fhir-json-schema-validator');
const validator = new Validator();
for await (const line of createInterface({ input: process.stdin })) {
    // Not its short form, which compiles a schema for each finding.
    const findings = validator.validate(JSON.parse(line), true);
    console.log(JSON.stringify((findings ?? []).map((it) => it.message ? `${it.dataPath}: ${it.message}` : String(it))));
}
