namespace ValueFlow.Tests.Values

open System
open System.Numerics
open ValueFlow.Tests

/// Numbers with 192 binary digits after the point: the judge of summaries that need exponentials.
module Precise =

    [<Literal>]
    let private Digits = 192

    let one = BigInteger.One <<< Digits
    let ofFloat (x: float) = if x = 0.0 then BigInteger.Zero else let r = Rational.OfFloat x in r.Scaled Digits
    let toFloat (x: BigInteger) = Rational.Create(x, one).ToFloat()
    let times (x: BigInteger) (y: BigInteger) = (x * y) >>> Digits
    let over (x: BigInteger) (y: BigInteger) = (x <<< Digits) / y

    /// exp x for x at most zero: halved eight times, a power series, squared eight times.
    let exp (x: BigInteger) =
        if x < ofFloat -130.0 then
            // Less than a unit of the last of these digits.
            BigInteger.Zero
        else
            let small = x >>> 8
            let mutable term, sum = one, one

            for n in 1..50 do
                term <- times term small / BigInteger n
                sum <- sum + term

            Seq.fold (fun y _ -> times y y) sum (seq { 1..8 })

    /// log y for y in (0, 1], by Newton's method from the float64 answer: the error is cubed at every step.
    let log (y: BigInteger) =
        let start = ofFloat (Math.Min(0.0, Math.Log(toFloat y)))

        Seq.fold
            (fun z _ ->
                let e = exp z
                z + (over ((y - e) <<< 1) (y + e)))
            start
            (seq { 1..3 })

    /// (1/k) log sum over i of p(i) exp(k x(i)), for k of either sign.
    let logSum (sharpness: float) (p: BigInteger[]) (x: BigInteger[]) =
        let k = ofFloat sharpness
        let exponents = x |> Array.map (times k)
        let largest = Array.max exponents
        let sum = Array.fold2 (fun sum p e -> sum + times p (exp (e - largest))) BigInteger.Zero p exponents
        over (largest + log (min sum one) + (if sum > one then sum - one else BigInteger.Zero)) k

    /// A law whose numbers sum to one.
    let normalise (p: BigInteger[]) = let total = Array.sum p in p |> Array.map (fun p -> over p total)

    /// The root, rounded down.
    let sqrt (x: BigInteger) =
        if x.Sign <= 0 then
            BigInteger.Zero
        else
            let target = x <<< Digits
            let mutable root = BigInteger.One <<< int ((target.GetBitLength() + 1L) / 2L)
            let mutable next = (root + target / root) >>> 1

            while next < root do
                root <- next
                next <- (root + target / root) >>> 1

            root

    let private mean (p: BigInteger[]) (x: BigInteger[]) = Array.map2 times p x |> Array.sum

    /// max over l of -l log sum p exp(-x / l) - l E, the parameter found by plain bisection: its error enters squared.
    let divergenceBall (radius: float) (p: BigInteger[]) (x: BigInteger[]) : BigInteger =
        let worst = Array.min x
        let gaps, masses = x |> Array.map (fun x -> toFloat (x - worst)), p |> Array.map toFloat
        let spread = Array.max gaps
        let mass = Array.map2 (fun d p -> if d = 0.0 then p else 0.0) gaps masses |> Array.sum

        if spread = 0.0 || mass >= Math.Exp -radius then
            worst
        elif radius = 0.0 then
            mean p x
        else
            let divergence t =
                let weights = Array.map2 (fun d p -> p * Math.Exp(-t * d)) gaps masses
                let total = Array.sum weights
                -t * (Array.map2 (*) weights gaps |> Array.sum) / total - Math.Log total

            let mutable low, high = Math.Log 1e-8 - Math.Log spread, Math.Log 1e25 - Math.Log spread

            for _ in 1..120 do
                let middle = 0.5 * (low + high)
                if divergence (Math.Exp middle) <= radius then low <- middle else high <- middle

            // Close by, too: the divergence of nearly equal laws is not known well.
            [ for factor in [ 0.9999; 0.999999; 1.0; 1.000001; 1.0001 ] -> factor * Math.Exp low ]
            |> List.map (fun t -> worst + logSum -t p (x |> Array.map (fun x -> x - worst)) - over (ofFloat radius) (ofFloat t))
            |> List.max

    /// max over h of h - sqrt((1 + E) sum p (h - x)+^2), at the stationary point of each set of the smallest outcomes.
    let chiSquareBall (radius: float) (p: BigInteger[]) (x: BigInteger[]) : BigInteger =
        if radius = 0.0 then
            mean p x
        else
            let factor = one + ofFloat radius

            let dual (level: BigInteger) =
                let gaps = x |> Array.map (fun x -> max BigInteger.Zero (level - x))
                level - sqrt (times factor (Array.map2 (fun p gap -> times p (times gap gap)) p gaps |> Array.sum))

            let order = [| 0 .. x.Length - 1 |] |> Array.sortBy (fun k -> x[k])

            [
                Array.min x
                for size in 1 .. x.Length do
                    let chosen = Array.take size order
                    let mass = chosen |> Array.sumBy (fun k -> p[k])
                    let centre = over (chosen |> Array.sumBy (fun k -> times p[k] x[k])) mass
                    let spread = over (chosen |> Array.sumBy (fun k -> times p[k] (times (x[k] - centre) (x[k] - centre)))) mass
                    let excess = if size = x.Length then ofFloat radius else times factor mass - one

                    if excess.Sign > 0 then
                        centre + sqrt (over spread excess)
            ]
            |> List.map dual
            |> List.max

    /// min over h of h + t sum m y^k + t / (k - 1), y = [(k - 1) (q - h) / (t k)]+^(1 / (k - 1)), for k = 1.5, 2 or 3; the threshold by plain bisection.
    let tsallis (index: float) (temperature: float) (prior: float[]) (q: float[]) : BigInteger =
        let best = Array.max q
        let slope = (index - 1.0) / (temperature * index)

        let mass g =
            Array.map2 (fun m q -> m * Math.Pow(Math.Max(0.0, slope * (q - best) + g), 1.0 / (index - 1.0))) prior q
            |> Array.sum

        let mutable low, high = 0.0, Math.Pow(1.0 / Array.sum prior + Array.max (Array.map (fun m -> 1.0 / m) prior), index)

        for _ in 1..200 do
            let middle = 0.5 * (low + high)
            if mass middle <= 1.0 then low <- middle else high <- middle

        let t, k = ofFloat temperature, ofFloat index
        let exact = over (k - one) (times t k)
        let level = ofFloat low

        let raised (b: BigInteger) =
            if index = 2.0 then times b b
            elif index = 1.5 then times b (times b b)
            else times b (sqrt b)

        let sum =
            Array.map2
                (fun m q -> times (ofFloat m) (raised (max BigInteger.Zero (times exact (ofFloat q - ofFloat best) + level))))
                prior
                q
            |> Array.sum

        ofFloat best + times t (sum + over (one - times k level) (k - one))
