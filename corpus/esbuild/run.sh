# Bundles and minifies a project of three modules, one of them in TypeScript, one JSON, one JSX.
cp -r "$here/project" "$root/project"
guest esbuild project/main.ts --bundle --minify --target=es2019 --log-level=error --sourcemap --outfile=out.js
cat "$root/out.js"
md5sum < "$root/out.js.map"
