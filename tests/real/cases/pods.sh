# Which pod pulls: kubelet's credential provider, the call that kubelet makes with what it says, and the mirror.
# shellcheck shell=bash disable=SC2034,SC2154 # names shared by sourcing

PROVIDER=${CREDENTIAL_PROVIDER:-$(dirname "$PRATIQUE")/pratique-credential-provider}

# pod NAMESPACE/ACCOUNT: from now on this pod pulls, with what kubelet gets from the credential provider
pod() {
  local token answer
  token=$("$PYTHON" "$HERE/tools/pod_token.py" "$CASE/cluster.pem" "$1")
  answer=$(jq -n --arg image up.test/open/alpine:3.23 --arg token "$token" '{
    apiVersion: "credentialprovider.kubelet.k8s.io/v1", kind: "CredentialProviderRequest",
    image: $image, serviceAccountToken: $token, serviceAccountAnnotations: {}}' | "$PROVIDER") || fail "no answer for $1"
  CRI_USER=$(jq -r '.auth["up.test"].username' <<<"$answer")
  CRI_PASSWORD=$(jq -r '.auth["up.test"].password' <<<"$answer")
  [ "$CRI_PASSWORD" = "$token" ] || fail "the token did not come out again: $answer"
  export CRI_USER CRI_PASSWORD
}
pods_are_told_apart() { # LINE
  local line=$1 image=up.test/open/alpine:3.23
  [ -x "$PROVIDER" ] || fail "no credential provider at $PROVIDER; CREDENTIAL_PROVIDER names it"
  "$PYTHON" "$HERE/tools/pod_token.py" "$CASE/cluster.pem" --keys >"$CASE/cluster-keys.json"
  mirror_config general
  printf '\n[node.pods]\nissuer = "https://kubernetes.default.svc"\nkeys = "%s"\n' "$CASE/cluster-keys.json" >>"$CASE/pratique.toml"
  printf 'clients:\n- {match: ["up.test/open/**"], namespaces: [shop]}\n' >>"$CASE/policy.yaml"
  mirror_start
  closed_hosts "$CASE/hosts.d"
  node_start "$line" "$CASE/hosts.d"
  # A pod that shows nothing, one of another namespace, and one with a secret for another place.
  pull_refused cri $image '(401|authorization failed)'
  pod payments/web
  pull_refused cri $image 'Denied: up.test/open/alpine is for namespace shop, not for payments/web'
  CRI_USER=alice CRI_PASSWORD=hub-password pull_refused cri $image "brings no pod's token"
  ! grep -q hub-password "$CASE/pratique.log" || fail "a secret of somebody is in the log"
  pod shop/web
  pulled cri $image
  pulled cri up.test/open/many:60
  ! grep -qF "$CRI_PASSWORD" "$CASE/pratique.log" || fail "a pod's token is in the log"
  # What is for everybody is asked of nobody.
  unset CRI_USER CRI_PASSWORD
  pulled cri up.test/lib/alpine:3.23
}

for line in 1.6 1.7 2; do register "pods-told-apart-$line" 120 pods_are_told_apart $line; done
