# What R's survival says of the cohort that check_against_r.py writes; one "name<TAB>value" a line.
#
#   Rscript check_against_r.R TABLE.csv
#
# TABLE.csv: time, event, cause (0 censored, 1 not fatal, 2 death), group (0-3), centre, sex, weight, and covariates x_*.
suppressMessages(library(survival))
d <- read.csv(commandArgs(TRUE)[1])
say <- function(name, values) {
  label <- if (length(values) == 1) name else paste(name, seq_along(values))
  cat(sprintf("%s\t%.15g\n", label, unname(values)), sep = "")
}
outcome <- Surv(d$time, d$event)
x <- as.matrix(d[grep("^x_", names(d))])
g <- as.matrix(sapply(1:3, function(k) as.numeric(d$group == k)))

crude <- coxph(outcome ~ g)
say("crude log HR", coef(crude))
say("crude SE", sqrt(diag(crude$var)))
say("crude log likelihood", crude$loglik)
say("crude score test", crude$score)
full <- coxph(outcome ~ g + x)
say("adjusted log HR", coef(full))
say("adjusted SE", sqrt(diag(full$var)))
say("adjusted Wald test", full$wald.test)
say("LR of categories added", 2 * (full$loglik[2] - coxph(outcome ~ x)$loglik[2]))
say("AIC", AIC(full))
breslow <- coxph(outcome ~ g + x, ties = "breslow")
say("Breslow log HR", coef(breslow))
say("robust SE", sqrt(diag(coxph(outcome ~ g + x, robust = TRUE)$var)))
say("clustered SE", sqrt(diag(coxph(outcome ~ g + x, cluster = d$centre)$var)))
stratified <- coxph(outcome ~ g + x + strata(d$centre))
say("stratified log HR", coef(stratified))
say("stratified SE", sqrt(diag(stratified$var)))
weighted <- coxph(outcome ~ g + x, weights = d$weight)
say("weighted log HR", coef(weighted))
for (how in c("km", "rank", "identity", "log"))
  say(paste("score test of proportionality,", how), cox.zph(full, transform = how, terms = FALSE)$table["GLOBAL", "chisq"])
say("risk at 3 years", 1 - summary(survfit(full, newdata = list(g = g[1:5, ], x = x[1:5, ])), times = 3)$surv[1, ])
say("risk at 3 years, Breslow", 1 - summary(survfit(breslow, newdata = list(g = g[1:5, ], x = x[1:5, ])), times = 3)$surv[1, ])

say("log-rank", survdiff(outcome ~ d$group)$chisq)
say("log-rank, stratified by sex", survdiff(outcome ~ d$group + strata(d$sex))$chisq)
for (k in 0:3) {
  curve <- summary(survfit(Surv(time, event) ~ 1, d, subset = group == k), times = 1:4)
  say(paste("Kaplan-Meier of category", k), curve$surv)
  say(paste("its SE of category", k), curve$std.err)
  say(paste("its lower limit of category", k), curve$lower)
}
states <- summary(survfit(Surv(time, factor(cause)) ~ 1, d), times = 1:4)
say("incidence of what is not fatal", states$pstate[, 2])
say("its SE", states$std.err[, 2])
say("incidence of death", states$pstate[, 3])
say("rate, exact lower limit", poisson.test(sum(d$event), sum(d$time))$conf.int[1])

c_crude <- concordance(outcome ~ d$group, reverse = TRUE)
say("Harrell's C, categories", c_crude$concordance)
say("its SE, categories", sqrt(c_crude$var))
c_full <- concordance(full)
say("Harrell's C, adjusted", c_full$concordance)
say("its SE, adjusted", sqrt(c_full$var))
uno <- concordance(full, timewt = "n/G2", ymax = 4)
say("Uno's C to 4 years", uno$concordance)
say("its SE to 4 years", sqrt(uno$var))

if (requireNamespace("cmprsk", quietly = TRUE)) for (kind in c("", ", tied")) {
  time <- if (kind == "") d$time else ceiling(2 * d$time) / 2
  tests <- cmprsk::cuminc(time, d$cause, d$group)$Tests
  say(paste0("Gray's test", kind), tests["1", "stat"])
  say(paste0("Gray's test of death", kind), tests["2", "stat"])
  say(paste0("Gray's test by sex", kind), cmprsk::cuminc(time, d$cause, d$group, strata = d$sex)$Tests["1", "stat"])
  for (which in c("crude", "adjusted")) {
    fit <- cmprsk::crr(time, d$cause, if (which == "crude") g else cbind(g, x), gtol = 1e-12)
    say(paste0("subdistribution, ", which, " log HR", kind), fit$coef)
    say(paste0("subdistribution, ", which, " SE", kind), sqrt(diag(fit$var)))
  }
}
