# From what cargo knows to CycloneDX 1.6. $metadata: `cargo metadata`; $linked: "name version" a line; $checksums: "name version sha256".
($linked | split("\n") | map(select(. != ""))) as $linked
| ($checksums | split("\n") | map(select(. != "") | split(" ") | {key: "\(.[0]) \(.[1])", value: .[2]}) | from_entries) as $sums
| $metadata[0] as $cargo
| def key: "\(.name) \(.version)";
  def purl: "pkg:cargo/\(.name)@\(.version)";
  ($cargo.packages | map(select(key | IN($linked[])))) as $packages
| ($packages | map({key: .id, value: purl}) | from_entries) as $refs
| ($packages | map(select(.targets | any(.kind == ["bin"] and (.name | IN("pointsman-agent", "pointsman-controller")))) | purl)) as $programs
| ("pkg:generic/musl@" + $musl) as $muslRef
| ("pkg:generic/rust-std@" + $rust) as $stdRef
| {
    "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
    bomFormat: "CycloneDX",
    specVersion: "1.6",
    version: 1,
    metadata: {
      timestamp: $date,
      component: {
        type: "container", "bom-ref": "pointsman", name: "pointsman",
        version: ($packages[] | select(.name == "pointsman-node-agent") | .version),
        licenses: [{expression: "Apache-2.0"}],
        properties: [{name: "rust:target", value: $target}]
      }
    },
    components: (
      [$packages[] | {
        type: (if purl | IN($programs[]) then "application" else "library" end),
        "bom-ref": purl, name, version,
        licenses: [{expression: (.license | gsub("/"; " OR "))}]
      }
      # Our own crates stand in no registry: they have no address there and no checksum.
      + (if .source then {purl: purl, hashes: [{alg: "SHA-256", content: $sums[key]}]} else {} end)
      + (if .repository then {externalReferences: [{type: "vcs", url: .repository}]} else {} end)
      ] + [
        {type: "library", "bom-ref": $stdRef, name: "rust-std", version: $rust, licenses: [{expression: "MIT OR Apache-2.0"}],
         externalReferences: [{type: "vcs", url: "https://github.com/rust-lang/rust"}]},
        {type: "library", "bom-ref": $muslRef, name: "musl", version: $musl, licenses: [{expression: "MIT"}],
         externalReferences: [{type: "website", url: "https://musl.libc.org/"}]}
      ] | sort_by(.["bom-ref"])
    ),
    dependencies: (
      [{ref: "pointsman", dependsOn: $programs}]
      + [$cargo.resolve.nodes[] | select($refs[.id]) | {
          ref: $refs[.id],
          dependsOn: ([.deps[] | select($refs[.pkg] and any(.dep_kinds[]; .kind == null)) | $refs[.pkg]]
            + (if $refs[.id] | IN($programs[]) then [$stdRef] else [] end) | unique)
        }]
      + [{ref: $stdRef, dependsOn: [$muslRef]}, {ref: $muslRef}] | sort_by(.ref)
    )
  }
