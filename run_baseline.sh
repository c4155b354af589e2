#!/usr/bin/env bash
# Unlabelled images in, submission out. Settings come from the environment, for example
#   CHALLENGE=digits SEED=1 bash run_baseline.sh
#   CHALLENGE=arrays DATA_DIR=folder/with/trainX.npy bash run_baseline.sh
#   CHALLENGE=folder DATA_DIR=my/images K=4 bash run_baseline.sh
#   CHALLENGE=imagefolder DATA_DIR=tree/of/class/folders bash run_baseline.sh
#   CHALLENGE=blitz7 DATA_DIR=folder/with/test.zip bash run_baseline.sh
#   CHALLENGE=texts DATA_DIR=my/texts.csv K=4 bash run_baseline.sh
#   CHALLENGE=pairs DATA_DIR=folder/with/test_case.csv bash run_baseline.sh
#   CHALLENGE=online BOARD=kaggle:<name> K=4 bash run_baseline.sh   # fetched with your key
#   RECIPE=literal bash run_baseline.sh          # the published pipeline, unchanged
#   RECIPE=scratch-best BUDGET=20m bash run_baseline.sh   # the best from nothing but these images
# ENCODER: conv-ae, vgg-ae, local-aggregation, timm, vgg16, text, pixels, or auto (the default):
# conv-ae for the homework's arrays and where the rules forbid pretrained weights; for other images
# vgg16 where its weights are and else timm. PREDICTOR: auto (many heads in many spaces, the best
# without labels: the default of networks that others trained), homework (KernelPCA, t-SNE,
# MiniBatchKMeans) or kmeans, as the walkthroughs have it. K=auto has the number of clusters voted
# on. CLUSTER_FLAGS go to every `cluster`, before the name of the head, such as --proportions
# uniform. FINETUNE=self refines the encoder on its own confident clusters, and FINETUNE=published
# on labels that the task gives away. local-aggregation starts from START (vgg-ae). WEIGHTS is a
# file of the encoder's weights; CHALLENGE_FLAGS, ENCODER_FLAGS, START_FLAGS and SUBMIT_FLAGS (such
# as --known 0,1,0,1,0) are handed on. RUN names the run (default RECIPE-seedSEED, after the
# encoder's name unless that is conv-ae), NAME the data set, WORKSPACE another place for data/ and
# submissions/; SET_ASIDE_CORRUPT=1 goes on without unreadable images. RECIPE=scratch-best trains
# encoders that learn from views, as large and as long as BUDGET (20m) allows on this machine, and
# takes no ENCODER. A second run redoes only what a changed setting or file touches.
# `python -m imclust cluster-folder` and `run` are the short way, without the walkthroughs' settings:
# src/imclust/pipeline.py has their order, and the folders are the same.
set -euo pipefail
here=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")"
. scripts/environment.sh
prepare_environment requirements.txt
imclust() { python -m imclust "$@"; }
absolute() { if [[ $1 = /* ]]; then echo "$1"; else echo "$here/$1"; fi; }

# --- settings -------------------------------------------------------------------------------------
challenge=${CHALLENGE:-photos} recipe=${RECIPE:-fast} encoder=${ENCODER:-auto} finetune=${FINETUNE:-}
seed=${SEED:-0} name=$challenge source=() k=() count=() aside=() top=
read -ra challenge_flags <<<"${CHALLENGE_FLAGS:-}"
read -ra encoder_flags <<<"${ENCODER_FLAGS:-}"
read -ra cluster_flags <<<"${CLUSTER_FLAGS:-}"
read -ra submit_flags <<<"${SUBMIT_FLAGS:-}"
[ -z "${WEIGHTS:-}" ] || encoder_flags+=(--weights "$(absolute "$WEIGHTS")")
[ "$challenge" != blitz7 ] || seed=${SEED:-42} # the walkthrough's
if [ -n "${DATA_DIR:-}" ]; then
    DATA_DIR=$(absolute "$DATA_DIR")
    source=(--data-dir "$DATA_DIR")
    name=$challenge-$(basename "${DATA_DIR%/}")
    name=${name%.*}
fi
if [ -n "${BOARD:-}" ]; then
    source=(--board "$BOARD")
    name=${BOARD#https://}
    name=${name//[^a-zA-Z0-9._-]/-}
fi
if [ "$challenge" = online ] && [ -z "${BOARD:-}" ]; then
    echo "BOARD must be given for CHALLENGE=online; got nothing; set BOARD=kaggle:<name>, BOARD=aicrowd:<name>, or the challenge's address." >&2
    exit 2
fi
if [ "${K:-}" = auto ]; then
    count=(--n-clusters auto)
elif [ -n "${K:-}" ]; then
    k=(--n-clusters "$K") count=(--n-clusters "$K")
elif [ "$challenge" = folder ] || [ "$challenge" = texts ] || [ "$challenge" = online ]; then
    echo "K must be given for CHALLENGE=$challenge, which has no number of clusters of its own; got nothing; set K=<n>, or K=auto for a vote." >&2
    exit 2
fi
[ -z "${SET_ASIDE_CORRUPT:-}" ] || aside=(--set-aside-corrupt)
[ -z "${WORKSPACE:-}" ] || top=$(absolute "$WORKSPACE")/
name=${NAME:-$name}
raw=${top}data/raw/$name runs=${top}data/runs/$name

imclust download --out "$raw" "${k[@]}" "${aside[@]}" "$challenge" "${source[@]}" "${challenge_flags[@]}"

# --- encoder: from images to latents --------------------------------------------------------------
if [ "$recipe" = scratch-best ]; then
    if [ "$encoder" != auto ] || [ "$challenge" = texts ]; then
        echo "RECIPE=scratch-best must be without ENCODER and of images; got ENCODER=$encoder CHALLENGE=$challenge; drop one of them." >&2
        exit 2
    fi
    encoder=scratch-best
elif [ "$encoder" = auto ]; then
    case $challenge in
    photos | hw9 | arrays | digits | pairs) encoder=conv-ae ;;
    texts) encoder=text ;;
    *) encoder=$(imclust encoders --first vgg16 timm) ;;
    esac
    ! grep -q '"rules": "scratch"' "$raw/index/manifest.json" || encoder=conv-ae
    echo "encoder: $encoder (chosen by the challenge and by what weights are there; ENCODER overrides)"
fi
[ "$recipe" = literal ] && predictor_recipe=literal || predictor_recipe=fast
run_name=$recipe-seed$seed
[ "$encoder" = conv-ae ] || [ "$encoder" = "$recipe" ] || run_name=$encoder-$run_name
run_name=${RUN:-$run_name${finetune:+-$finetune}}
run=$runs/$run_name submission=${top}submissions/$name/$run_name
case $encoder in
conv-ae | pixels) predictor=${PREDICTOR:-homework} ;;
scratch-best) predictor=${PREDICTOR:-auto} ;;
timm) [ "$recipe" = fast ] && predictor=${PREDICTOR:-auto} || predictor=${PREDICTOR:-kmeans} ;;
*) predictor=${PREDICTOR:-kmeans} ;;
esac
own_flags=${ENCODER_FLAGS:-}
if [ "$encoder $predictor" = "timm auto" ] && [ -z "$own_flags" ]; then # several layers to choose from
    own_flags="--pool mean_std --layers 4"
    encoder_flags+=($own_flags)
fi
case $encoder in conv-ae | vgg-ae | vgg16) encoder_flags=(--recipe "$recipe" "${encoder_flags[@]}") ;; esac

heads=()
if [ "$encoder" = scratch-best ]; then # two ways of learning from views; their codes side by side
    imclust plan --index "$raw/index" --out "$run/plan" --budget "${BUDGET:-20m}" --shares 1 1
    read -r side width first second heads_effort <"$run/plan/plan.txt"
    features=() heads=(--effort "$heads_effort")
    for way in "simclr $first" "vicreg $second"; do
        read -r method time <<<"$way"
        imclust train --index "$raw/index" --out "$run/$method" --seed "$seed" --budget "${time}s" \
            "$method" --size "$side" --width "$width" "${encoder_flags[@]}"
        imclust encode --index "$raw/index" --weights "$run/$method" --out "$run/$method-latents"
        features+=("$run/$method-latents")
    done
    weights=$run/simclr latents=$run/simclr-latents
else
    start=()
    case $encoder in
    conv-ae | vgg-ae | local-aggregation) encoded=$run ;; # learned from these images, seed by seed
    *) # the same for every seed
        encoded=$runs/$encoder${own_flags//[^a-zA-Z0-9._-]/_}
        [ "$recipe" = fast ] || encoded=$encoded-$recipe
        ;;
    esac
    if [ "$encoder" = local-aggregation ]; then # goes on from an autoencoder
        read -ra start_flags <<<"${START_FLAGS:-}"
        imclust train --index "$raw/index" --out "$run/start" --seed "$seed" "${START:-vgg-ae}" \
            --recipe "$recipe" "${start_flags[@]}"
        start=(--init-weights "$run/start")
    fi
    learn_seed=()
    [ "$encoded" != "$run" ] || learn_seed=(--seed "$seed")
    imclust train --index "$raw/index" --out "$encoded/weights" "${start[@]}" "${learn_seed[@]}" \
        "$encoder" "${encoder_flags[@]}"
    imclust encode --index "$raw/index" --weights "$encoded/weights" --out "$encoded/latents"
    weights=$encoded/weights latents=$encoded/latents features=("$latents")
    if [ "$predictor $encoder" = "auto timm" ]; then # plain pixels beside them: nothing to learn, and fast
        imclust train --index "$raw/index" --out "$runs/pixels/weights" pixels
        imclust encode --index "$raw/index" --weights "$runs/pixels/weights" --out "$runs/pixels/latents"
        features+=("$runs/pixels/latents")
    fi
fi

# --- predictor: from latents to clusters ----------------------------------------------------------
# reduce_and_cluster SPLIT PREFIX: fitted on that split; leaves PREFIXclusters and PREFIXtsne.
reduce_and_cluster() {
    local fit=(--split "$1" --seed "$seed") to=$run/$2
    if [ "$predictor" = homework ]; then
        imclust reduce --features "$latents" --out "${to}kernel-pca" "${fit[@]}" \
            kernel-pca --recipe "$predictor_recipe"
        imclust reduce --features "${to}kernel-pca" --out "${to}tsne" "${fit[@]}" \
            tsne --recipe "$predictor_recipe"
        imclust cluster --features "${to}tsne" --index "$raw/index" --out "${to}clusters" \
            "${fit[@]}" "${count[@]}" "${cluster_flags[@]}" \
            minibatch-kmeans --recipe "$predictor_recipe"
    elif [ "$predictor" = auto ]; then
        imclust cluster --features "${features[@]}" --index "$raw/index" --out "${to}clusters" \
            "${fit[@]}" "${count[@]}" "${cluster_flags[@]}" auto "${heads[@]}"
    else
        local unit=(--prepare unit)
        [ "$recipe" != literal ] || unit=(--restarts 10) # raw features, as the walkthroughs have them
        imclust cluster --features "$latents" --index "$raw/index" --out "${to}clusters" \
            "${fit[@]}" "${count[@]}" "${cluster_flags[@]}" kmeans "${unit[@]}"
    fi
    if [ "$predictor" != homework ]; then
        imclust reduce --features "$latents" --out "${to}pca" "${fit[@]}" pca --components 50
        imclust reduce --features "${to}pca" --out "${to}tsne" "${fit[@]}" tsne # to look at
    fi
}
reduce_and_cluster train ""
if [ "${K:-}" = auto ]; then # one K for all splits
    count=(--n-clusters "$(grep -o '"n_clusters": [0-9]*' "$run/clusters/manifest.json" | head -1 | grep -o '[0-9]*')")
fi

if [ -n "$finetune" ]; then # the encoder once more, on its own confident clusters or on labels
    on=(--assignment "$run/clusters")
    [ "$finetune" != published ] || on=(--published "$raw/published")
    imclust finetune --index "$raw/index" --weights "$weights" --out "$run/finetune" --seed "$seed" "${on[@]}"
    weights=$run/finetune/weights
fi

clusters=$run/clusters
[ -z "$finetune" ] || clusters=$run/finetune/clusters
own_clusters=() own_embedding=()
if grep -q '^val,' "$raw/index/index.csv"; then # the homework scores valX clustered on its own
    reduce_and_cluster val val-
    own_clusters=(--val-assignment "$run/val-clusters") own_embedding=(--val-embedding "$run/val-tsne")
fi

# --- result ---------------------------------------------------------------------------------------
imclust score --assignment "$clusters" --index "$raw/index" --labels "$raw/labels" \
    --weights "$weights" --out "$run/scores" "${own_clusters[@]}" --spaces "$latents" "$run/tsne"
imclust submit --assignment "$clusters" --index "$raw/index" --out "$submission" \
    --log "${top}submissions/log.csv" --scores "$run/scores" "${submit_flags[@]}"
imclust report --submission "$submission" --scores "$run/scores" --labels "$raw/labels" \
    --embedding "$run/tsne" --out "$run/report" "${own_embedding[@]}"
case $challenge in
photos | digits) ;; # no leaderboard
*) echo "to the leaderboard: python -m imclust upload $submission   # shows what it would send" ;;
esac
