#!/usr/bin/env bash
# Unlabelled images in, submission out. Settings come from the environment, for example
#   CHALLENGE=digits SEED=1 bash run_baseline.sh
#   CHALLENGE=arrays DATA_DIR=folder/with/trainX.npy bash run_baseline.sh
#   CHALLENGE=folder DATA_DIR=my/images K=4 bash run_baseline.sh
#   CHALLENGE=imagefolder DATA_DIR=tree/of/class/folders bash run_baseline.sh
#   RECIPE=literal bash run_baseline.sh          # the published homework pipeline, unchanged
# RUN names the run (default RECIPE-seedSEED), NAME the data set, WORKSPACE another place for data/
# and submissions/; ENCODER=pixels skips learning; SET_ASIDE_CORRUPT=1 goes on without unreadable
# images. A second run redoes only what a changed setting or file touches.
set -euo pipefail
here=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")"
. scripts/environment.sh
prepare_environment requirements.txt

challenge=${CHALLENGE:-photos} recipe=${RECIPE:-fast} seed=${SEED:-0} encoder=${ENCODER:-conv-ae}
name=$challenge source=() k=() aside=() recipe_flag=(--recipe "$recipe")
if [ -n "${DATA_DIR:-}" ]; then
    [[ $DATA_DIR = /* ]] || DATA_DIR=$here/$DATA_DIR
    source=(--data-dir "$DATA_DIR")
    name=$challenge-$(basename "${DATA_DIR%/}")
fi
if [ -n "${K:-}" ]; then
    k=(--n-clusters "$K")
elif [ "$challenge" = folder ]; then
    echo "K must be given for CHALLENGE=folder, which has no number of clusters of its own; got nothing; set K=<n>." >&2
    exit 2
fi
[ -z "${SET_ASIDE_CORRUPT:-}" ] || aside=(--set-aside-corrupt)
[ "$encoder" = conv-ae ] && train_flag=("${recipe_flag[@]}") || train_flag=()
name=${NAME:-${name%.*}}
run_name=${RUN:-$recipe-seed$seed} top=
if [ -n "${WORKSPACE:-}" ]; then [[ $WORKSPACE = /* ]] && top=$WORKSPACE/ || top=$here/$WORKSPACE/; fi
raw=${top}data/raw/$name
run=${top}data/runs/$name/$run_name
submission=${top}submissions/$name/$run_name

imclust() { python -m imclust "$@"; }

imclust download --out "$raw" "${k[@]}" "${aside[@]}" "$challenge" "${source[@]}"
imclust train --index "$raw/index" --out "$run/weights" --seed "$seed" "$encoder" "${train_flag[@]}"
imclust encode --index "$raw/index" --weights "$run/weights" --out "$run/latents"

# reduce_and_cluster SPLIT PREFIX: KernelPCA 200, t-SNE 2, MiniBatchKMeans, fitted on that split.
reduce_and_cluster() {
    imclust reduce --features "$run/latents" --out "$run/$2kernel-pca" --split "$1" --seed "$seed" \
        kernel-pca "${recipe_flag[@]}"
    imclust reduce --features "$run/$2kernel-pca" --out "$run/$2tsne" --split "$1" --seed "$seed" \
        tsne "${recipe_flag[@]}"
    imclust cluster --features "$run/$2tsne" --index "$raw/index" --out "$run/$2clusters" \
        --split "$1" "${k[@]}" --seed "$seed" minibatch-kmeans "${recipe_flag[@]}"
}
reduce_and_cluster train ""
own_clusters=() own_embedding=()
if grep -q '^val,' "$raw/index/index.csv"; then # the homework scores valX clustered on its own
    reduce_and_cluster val val-
    own_clusters=(--own "$run/val-clusters") own_embedding=(--own "$run/val-tsne")
fi

imclust score --assignment "$run/clusters" --index "$raw/index" --labels "$raw/labels" \
    --weights "$run/weights" --out "$run/scores" "${own_clusters[@]}" \
    --spaces "$run/latents" "$run/tsne"
imclust submit --assignment "$run/clusters" --index "$raw/index" --out "$submission"
imclust report --submission "$submission" --scores "$run/scores" --labels "$raw/labels" \
    --embedding "$run/tsne" --out "$run/report" "${own_embedding[@]}"
